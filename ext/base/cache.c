#include "base/cache.h"

#include "base/isa.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Documentation/ABI/testing/sysfs-devices-system-cpu of Linux. Not through stdio: this is part of opening a model. */
static int read_text(int index, const char *name, char *text, size_t size) {
  char path[96];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t length = read(file, text, size - 1);
  close(file);
  text[length > 0 ? length : 0] = 0;
  return length > 0;
}

/* CPUs of a list such as "0-3,8-11". */
static int count_list(const char *text) {
  int count = 0;
  while (*text >= '0' && *text <= '9') {
    char *end;
    const long first = strtol(text, &end, 10), last = *end == '-' ? strtol(end + 1, &end, 10) : first;
    if (last >= first && last - first < 4096) count += (int)(last - first) + 1;
    text = *end == ',' ? end + 1 : end;
  }
  return count;
}

static int sharers_of(int index) {
  char text[256];
  const int count = read_text(index, "shared_cpu_list", text, sizeof text) ? count_list(text) : 1;
  return count > 1 ? count : 1;
}

/* Cache `index` of core 0, when it is of this level and holds data. */
static bool read_cache(int index, char level, ert_cache *cache) {
  char text[256];
  if (!read_text(index, "level", text, sizeof text) || text[0] != level ||
      !read_text(index, "type", text, sizeof text) || strncmp(text, "Instruction", 11) == 0 ||
      !read_text(index, "size", text, sizeof text))
    return false;
  char *unit;
  const unsigned long size = strtoul(text, &unit, 10);
  if (size == 0 || size > 1 << 20) return false;
  cache->bytes = (size_t)size << (*unit == 'M' ? 20 : 10);
  cache->cores = sharers_of(index);
  return true;
}

ert_cache ert_cache_level2(void) {
  static const int LIKELY[] = {2, 1, 3, 0}; /* level 2 is unified and stands behind the two of level 1 */
  ert_cache cache;
#if defined(__GLIBC__) && defined(ERT_ARCH_X86_64)
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE); /* it asks the processor, in a tenth of the time */
  if (bytes > 0) return (ert_cache){(size_t)bytes, sharers_of(2)};
#endif
  for (size_t i = 0; i < sizeof LIKELY / sizeof *LIKELY; i++)
    if (read_cache(LIKELY[i], '2', &cache)) return cache;
  return (ert_cache){(size_t)512 << 10, 4};
}

ert_cache ert_cache_last(void) {
  ert_cache cache;
#if defined(__GLIBC__) && defined(ERT_ARCH_X86_64)
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  if (bytes > 0) return (ert_cache){(size_t)bytes, sharers_of(3)};
#endif
  return read_cache(3, '3', &cache) || read_cache(2, '3', &cache) ? cache : ert_cache_level2();
}
