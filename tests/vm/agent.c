// SPDX-License-Identifier: Apache-2.0
//
// The first process of a virtual machine under test: starts programs when the host says so, and
// tells it what they print and how they end. One thread, one line per message, over the serial port
// that is its argument. machine.py is the other end.
//
//   from the host             what happens
//   run ID COMMAND            sh -c COMMAND starts, with a pipe as its standard input
//   input ID TEXT             TEXT and a newline are written to it
//   close ID                  its standard input ends
//   kill ID SIGNAL            its process group gets the signal
//   off                       the machine is switched off
//
//   to the host
//   ready                     the machine takes commands
//   out ID TEXT               a line of its standard output or error
//   end ID STATUS             it ended: its exit code, or 128 + the signal that ended it; its lines
//                             come before that
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
  kMaxJobs = 256,  // at a time
  kMaxLine = 4096,
};

struct Line {
  char text[kMaxLine];
  size_t bytes;
};

struct Job {
  long id;  // the host's; meaningless while there is no pid
  pid_t pid;
  int input, output;  // pipes; -1 when closed
  struct Line line;
};

static struct Job jobs[kMaxJobs];
static int port;

static void Die(const char* what) {
  dprintf(STDERR_FILENO, "agent: %s: %s\n", what, strerror(errno));
  reboot(RB_POWER_OFF);
  _exit(1);
}

__attribute__((format(printf, 1, 2))) static void Tell(const char* format, ...) {
  char message[kMaxLine + 64];
  va_list arguments;
  va_start(arguments, format);
  int bytes = vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  for (int done = 0; done < bytes;) {
    ssize_t wrote = write(port, message + done, (size_t)(bytes - done));
    if (wrote < 0 && errno != EINTR) Die("the control port");
    if (wrote > 0) done += (int)wrote;
  }
}

static void CloseFd(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

// In the child: its pipes, a process group of its own, and nothing of the agent's.
static void Become(const char* command, int input, int output) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  setpgid(0, 0);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execl("/bin/sh", "sh", "-c", command, (char*)NULL);
  _exit(127);
}

static void Run(long id, const char* command) {
  struct Job* job = jobs;
  while (job < jobs + kMaxJobs && job->pid) ++job;
  if (job == jobs + kMaxJobs) {
    errno = EAGAIN;
    Die("too many programs");
  }
  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0) Die("pipe");
  pid_t pid = fork();
  if (pid < 0) Die("fork");
  if (pid == 0) Become(command, input[0], output[1]);
  setpgid(pid, pid);
  close(input[0]);
  close(output[1]);
  fcntl(output[0], F_SETFL, O_NONBLOCK);
  *job = (struct Job){.id = id, .pid = pid, .input = input[1], .output = output[0]};
}

// NULL: it has ended.
static struct Job* Find(long id) {
  for (struct Job* job = jobs; job < jobs + kMaxJobs; ++job) {
    if (job->pid && job->id == id) return job;
  }
  return NULL;
}

static void Input(struct Job* job, const char* text) {
  // A program that does not read any more has an end to tell, soon.
  if (job->input >= 0 && dprintf(job->input, "%s\n", text) < 0) CloseFd(&job->input);
}

static void Obey(char* line) {
  char* id = strchr(line, ' ');
  if (strcmp(line, "off") == 0) {
    sync();
    reboot(RB_POWER_OFF);
  }
  if (!id) return;
  *id++ = '\0';
  char* rest = strchr(id, ' ');
  if (rest) *rest++ = '\0';
  long number = strtol(id, NULL, 10);
  struct Job* job = Find(number);
  if (strcmp(line, "run") == 0 && rest) {
    Run(number, rest);
  } else if (!job) {
    return;
  } else if (strcmp(line, "input") == 0 && rest) {
    Input(job, rest);
  } else if (strcmp(line, "close") == 0) {
    CloseFd(&job->input);
  } else if (strcmp(line, "kill") == 0 && rest) {
    kill(-job->pid, (int)strtol(rest, NULL, 10));
  }
}

// Takes whole lines out of what was read; a line that is too long comes in pieces.
static void Feed(struct Line* line, const char* bytes, size_t count, void (*take)(char*, size_t),
                 size_t context) {
  for (size_t i = 0; i < count; ++i) {
    bool full = line->bytes + 1 == sizeof(line->text);
    if (bytes[i] != '\n' && bytes[i] != '\r' && !full) {
      line->text[line->bytes++] = bytes[i];
      continue;
    }
    line->text[line->bytes] = '\0';
    if (line->bytes > 0) take(line->text, context);
    line->bytes = 0;
    if (full) line->text[line->bytes++] = bytes[i];
  }
}

static void TakeCommand(char* text, size_t context) {
  (void)context;
  Obey(text);
}

static void TakeOutput(char* text, size_t index) { Tell("out %ld %s\n", jobs[index].id, text); }

// Sends what the program has printed so far.
static void Drain(size_t index) {
  struct Job* job = &jobs[index];
  char bytes[4096];
  ssize_t count;
  while (job->output >= 0 && (count = read(job->output, bytes, sizeof(bytes))) >= 0) {
    if (count == 0) {
      CloseFd(&job->output);
      Feed(&job->line, "\n", 1, TakeOutput, index);
      return;
    }
    Feed(&job->line, bytes, (size_t)count, TakeOutput, index);
  }
}

static void Reap(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    for (size_t index = 0; index < kMaxJobs; ++index) {
      struct Job* job = &jobs[index];
      if (job->pid != pid) continue;
      Drain(index);
      CloseFd(&job->input);
      CloseFd(&job->output);
      job->pid = 0;
      Tell("end %ld %d\n", job->id,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
  }
}

static void OpenPort(const char* path) {
  port = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
  struct termios raw;
  if (port < 0 || tcgetattr(port, &raw) != 0) Die(path);
  cfmakeraw(&raw);
  raw.c_cflag |= CLOCAL;
  if (tcsetattr(port, TCSANOW, &raw) != 0) Die(path);
}

static void ReadCommands(void) {
  static struct Line line;
  char bytes[512];
  ssize_t count = read(port, bytes, sizeof(bytes));
  if (count <= 0 && errno != EINTR) Die("the control port");
  if (count > 0) Feed(&line, bytes, (size_t)count, TakeCommand, 0);
}

int main(int argc, char** argv) {
  if (argc != 2) Die("wants the serial port");
  OpenPort(argv[1]);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  signal(SIGPIPE, SIG_IGN);
  int ended = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  if (ended < 0) Die("signalfd");
  for (size_t index = 0; index < kMaxJobs; ++index) jobs[index].input = jobs[index].output = -1;
  Tell("ready\n");

  for (;;) {
    // poll() passes over entries whose descriptor is negative.
    static struct pollfd polls[kMaxJobs + 2];
    for (size_t index = 0; index < kMaxJobs; ++index) {
      polls[index] = (struct pollfd){.fd = jobs[index].output, .events = POLLIN};
    }
    polls[kMaxJobs] = (struct pollfd){.fd = port, .events = POLLIN};
    polls[kMaxJobs + 1] = (struct pollfd){.fd = ended, .events = POLLIN};
    if (poll(polls, kMaxJobs + 2, -1) < 0 && errno != EINTR) Die("poll");
    for (size_t index = 0; index < kMaxJobs; ++index) {
      if (polls[index].revents) Drain(index);
    }
    if (polls[kMaxJobs].revents) ReadCommands();
    struct signalfd_siginfo info;
    while (read(ended, &info, sizeof(info)) == sizeof(info)) {
    }
    Reap();
  }
}
