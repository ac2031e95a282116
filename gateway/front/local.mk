# front: what stands between nginx and the steps of a request.
noinst_LIBRARIES += libfront.a
libfront_a_SOURCES = \
	gateway/front/access.c gateway/front/access.h \
	gateway/front/conditions.c gateway/front/conditions.h \
	gateway/front/cors.c gateway/front/cors.h \
	gateway/front/fcgi.c gateway/front/fcgi.h \
	gateway/front/media.c gateway/front/media.h gateway/front/media_table.h \
	gateway/front/quota.c gateway/front/quota.h \
	gateway/front/response.c gateway/front/response.h \
	gateway/front/route.c gateway/front/route.h gateway/front/route_table.h \
	gateway/front/token.c gateway/front/token.h \
	gateway/front/workers.c gateway/front/workers.h
libfront_a_CFLAGS = $(AM_CFLAGS) $(FCGI_CFLAGS)
