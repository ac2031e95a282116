/* Any bytes as a login's form and as a token: nothing is read beyond their end, a form that is taken has
 * both of its fields, and no token but one that was signed is taken. */
#include "config.h"

#include <string.h>

#include "gateway/front/token.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const uint8_t key[SHA256_BYTES] = {7};
	struct login_form form;
	struct token t;
	const char *message = NULL;
	enum status st = login_form_read((const char *)bytes, len, &form, &message);
	if (st == STATUS_OK)
		FUZZ_MUST(form.username[0] != '\0' && form.password[0] != '\0' &&
			  memchr(form.password, '\0', sizeof form.password) != NULL);
	else
		FUZZ_MUST((st == STATUS_BAD_REQUEST || st == STATUS_TOO_LARGE) && message != NULL);
	FUZZ_MUST(token_read(key, (const char *)bytes, len, 0, &t) == STATUS_UNAUTHORIZED);
	return 0;
}
