#include "base/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Documentation/ABI/testing/sysfs-devices-system-cpu of Linux. */
static int read_text(int index, const char *name, char *text, int size) {
  char path[96];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  const int found = fgets(text, size, file) != NULL;
  fclose(file);
  return found;
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

ert_cache ert_cache_level2(void) {
  ert_cache cache = {(size_t)512 << 10, 4};
  char text[256];
  for (int i = 0; i < 8 && read_text(i, "level", text, sizeof text); i++) {
    if (text[0] != '2' || !read_text(i, "type", text, sizeof text) || strncmp(text, "Instruction", 11) == 0) continue;
    if (!read_text(i, "size", text, sizeof text)) continue;
    char *unit;
    const unsigned long size = strtoul(text, &unit, 10);
    if (size == 0 || size > 1 << 20) continue;
    cache.bytes = (size_t)size << (*unit == 'M' ? 20 : 10);
    cache.cores = read_text(i, "shared_cpu_list", text, sizeof text) ? count_list(text) : 1;
    if (cache.cores < 1) cache.cores = 1;
    break;
  }
  return cache;
}
