/* Cuts a file system off as a loss of power does: nothing that was not synced reaches its device. Needs root. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define FS_IOC_SHUTDOWN _IOR('X', 125, uint32_t)

int main(int count, char **arguments) {
  uint32_t without_log_flush = 2;
  int folder = count == 2 ? open(arguments[1], O_RDONLY) : -1;
  if (folder >= 0 && ioctl(folder, FS_IOC_SHUTDOWN, &without_log_flush) == 0) return 0;
  perror("shutdown of the file system");
  return 1;
}
