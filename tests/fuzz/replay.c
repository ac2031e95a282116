/* Runs a fuzz target over the files and directories given, or over its own corpus. */
#include "config.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/base/buf.h"
#include "gateway/base/limits.h"
#include "tests/fuzz/fuzz.h"

static size_t files_run;

static bool
run_file(const char *path)
{
	uint8_t *bytes = NULL;
	struct stat st;
	bool good = false;
	FILE *f = fopen(path, "rb");
	if (f == NULL || fstat(fileno(f), &st) != 0 || st.st_size < 0 ||
	    (size_t)st.st_size > 64 * MIB)
		goto out;
	size_t len = (size_t)st.st_size;
	/* exactly as long as it is, so that a sanitizer sees what is read beyond */
	bytes = malloc(len > 0 ? len : 1);
	if (bytes == NULL || fread(bytes, 1, len, f) != len)
		goto out;
	LLVMFuzzerTestOneInput(bytes, len);
	files_run++;
	good = true;
out:
	if (!good)
		perror(path);
	free(bytes);
	if (f != NULL)
		fclose(f);
	return good;
}

static bool
run_path(const char *path)
{
	DIR *dir = opendir(path);
	if (dir == NULL)
		return run_file(path);
	bool good = true;
	const struct dirent *entry;
	while (good && (entry = readdir(dir)) != NULL) {
		struct buf file;
		if (entry->d_name[0] == '.')
			continue;
		buf_init(&file, 4 * KIB);
		buf_printf(&file, "%s/%s", path, entry->d_name);
		good = run_file(buf_str(&file));
		buf_fini(&file);
	}
	closedir(dir);
	return good;
}

int
main(int argc, char **argv)
{
	bool good = true;
	for (int i = 1; i < argc && good; i++)
		good = run_path(argv[i]);
	if (argc < 2) {
		const char *top = getenv("top_srcdir");
		struct buf corpus;
		buf_init(&corpus, 4 * KIB);
		buf_printf(&corpus, "%s/tests/fuzz/" FUZZ_CORPUS, top != NULL ? top : ".");
		good = run_path(buf_str(&corpus));
		buf_fini(&corpus);
	}
	printf("%zu inputs\n", files_run);
	return good && files_run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
