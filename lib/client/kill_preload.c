/* SPDX-License-Identifier: Apache-2.0
 *
 * libclustix-kill.so: kill(2) on global pids, for unmodified programs. `clustix shell` preloads it.
 * A pid that is above every pid of one machine goes to the daemon that CLUSTIX_SOCKET names, and
 * from there to the daemon of the process's node; every other one to the kernel, as before.
 *
 * Any thread, and signal handlers: it allocates nothing, takes no lock and leaves errno alone when
 * it succeeds. Besides the errors of kill(2) there are EHOSTDOWN (certainly not delivered: no
 * daemon here, or the node does not answer) and ETIMEDOUT (nobody knows).
 *
 * Process groups (negative pids) stay those of the machine itself.
 *
 * And getpriority(2) of such a process, out of its stat: psutil takes a process for gone whose
 * niceness the kernel does not know, and so glances would show none.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/client/signal_wire.h"

/* pid_max is at most this on Linux. */
static const pid_t first_global_pid = 1 << 22;

/* Longer than a daemon that is well takes. */
static const struct timeval patience = {.tv_sec = 3, .tv_usec = 0};

/* Kept from the start: getenv() is not for signal handlers. Empty path: no daemon is named. */
static struct sockaddr_un daemon_address;

__attribute__((constructor)) static void find_daemon(void) {
  const char* path = getenv("CLUSTIX_SOCKET");
  if (path == NULL || strlen(path) >= sizeof(daemon_address.sun_path)) return;
  daemon_address.sun_family = AF_UNIX;
  strcpy(daemon_address.sun_path, path); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
}

static int connect_to_daemon(void) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  int result;
  do {
    result = connect(fd, (const struct sockaddr*)&daemon_address, sizeof(daemon_address));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return fd;
  close(fd);
  return -1;
}

/* A request is shorter than any socket's buffer: it is taken whole. */
static int ask_daemon(int fd, pid_t gpid, int signal) {
  uint8_t request[CLUSTIX_SIGNAL_REQUEST_BYTES], reply[CLUSTIX_SIGNAL_REPLY_BYTES];
  clustix_signal_request(request, gpid, signal);
  ssize_t sent;
  do {
    sent = send(fd, request, sizeof(request), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent != (ssize_t)sizeof(request)) return EHOSTDOWN;
  size_t received = 0;
  while (received < sizeof(reply)) {
    const ssize_t got = recv(fd, reply + received, sizeof(reply) - received, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    received += (size_t)got;
  }
  return clustix_signal_error(reply, received);
}

static int kill_globally(pid_t gpid, int signal) {
  const int before = errno;
  const int fd = connect_to_daemon();
  const int error = fd < 0 ? EHOSTDOWN : ask_daemon(fd, gpid, signal);
  if (fd >= 0) close(fd);
  errno = error != 0 ? error : before;
  return error != 0 ? -1 : 0;
}

__attribute__((visibility("default"))) int kill(pid_t pid, int signal) {
  if (pid < first_global_pid || daemon_address.sun_path[0] == '\0') {
    return (int)syscall(SYS_kill, pid, signal);
  }
  return kill_globally(pid, signal);
}

/* "/proc/PID/stat", of any length that a pid can have. */
static void stat_path(char* path, id_t pid) {
  char digits[16];
  size_t count = 0;
  for (; pid > 0; pid /= 10) digits[count++] = (char)('0' + pid % 10);
  memcpy(path, "/proc/", 6);
  path += 6;
  while (count > 0) *path++ = digits[--count];
  memcpy(path, "/stat", 6);
}

/* Field 19 of a stat, counted from 1; the second one ends with the last bracket. */
static int niceness(const char* stat, int* nice) {
  const char* at = strrchr(stat, ')');
  for (int field = 2; at != NULL && field < 19; ++field) {
    at = strchr(at, ' ');
    if (at != NULL) ++at;
  }
  if (at == NULL) return ESRCH;
  const int negative = *at == '-';
  if (negative) ++at;
  int value = 0;
  for (int i = 0; i < 2 && *at >= '0' && *at <= '9'; ++i, ++at) value = 10 * value + (*at - '0');
  *nice = negative ? -value : value;
  return *at == ' ' ? 0 : ESRCH;
}

static int priority_of_global(id_t gpid, int* nice) {
  char path[32], stat[2048];
  stat_path(path, gpid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? ESRCH : errno;
  const ssize_t got = read(fd, stat, sizeof(stat) - 1);
  close(fd);
  if (got <= 0) return ESRCH;
  stat[got] = '\0';
  return niceness(stat, nice);
}

__attribute__((visibility("default"))) int getpriority(__priority_which_t which, id_t who) {
  int nice = 0;
  if (which != PRIO_PROCESS || who < (id_t)first_global_pid || who > INT32_MAX) {
    const long raw = syscall(SYS_getpriority, which, who); /* 20 - niceness, or -1 */
    return raw < 0 ? -1 : (int)(20 - raw);
  }
  const int before = errno;
  const int error = priority_of_global(who, &nice);
  errno = error != 0 ? error : before;
  return error != 0 ? -1 : nice;
}
