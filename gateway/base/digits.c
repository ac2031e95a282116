#include "config.h"

#include "gateway/base/digits.h"

bool
digits_read(const char *text, size_t len, uint64_t least, uint64_t most, uint64_t *ret)
{
	uint64_t value = 0;
	if (len == 0 || (text[0] == '0' && len > 1))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
			return false;
	}
	if (value < least || value > most)
		return false;
	*ret = value;
	return true;
}
