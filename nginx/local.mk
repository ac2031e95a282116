# nginx: what goes to nginx's own folder. run.conf.in is for ./dev run and the tests alone.
nginxdir = $(sysconfdir)/nginx
nginxincludedir = $(nginxdir)/posturegate
nginxsitedir = $(nginxdir)/sites-available
NGINX_INCLUDES = \
	nginx/posturegate/http.conf nginx/posturegate/messages.conf \
	nginx/posturegate/networks.conf \
	nginx/posturegate/params.conf \
	nginx/posturegate/server.conf
dist_nginxinclude_DATA = $(NGINX_INCLUDES)
nginxsite_DATA = nginx/posturegate.conf
CLEANFILES += nginx/posturegate.conf
EXTRA_DIST += nginx/run.conf.in nginx/site.conf.in

nginx/posturegate.conf: $(top_srcdir)/nginx/site.conf.in Makefile
	$(AM_V_GEN)$(MKDIR_P) nginx && $(SED) -e 's|@SOCKET@|$(runstatedir)/posturegate/posturegate.sock|' \
		-e 's|@SERVER_NAME@|posturegate.example|' \
		-e 's|@CERTIFICATE@|$(nginxdir)/tls/posturegate.pem|' \
		-e 's|@CERTIFICATE_KEY@|$(nginxdir)/tls/posturegate.key|' \
		-e 's|@LOG_DIR@|/var/log/nginx|' \
		$(top_srcdir)/nginx/site.conf.in >$@.tmp && mv $@.tmp $@
