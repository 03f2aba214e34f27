// SPDX-License-Identifier: Apache-2.0
/*
 * Configures kccm.ko over generic netlink, for tests: the one network namespace that it runs in.
 *
 *	kccm-config node ID ADDRESS PORT [KEY [TOLERANCE_MS]]	the key is made of one letter
 *	kccm-config node-del
 *	kccm-config peer ID ADDRESS PORT
 *	kccm-config peer-del ID
 *	kccm-config show node|peers|queues
 *	kccm-config COMMAND , COMMAND ...			one after the other
 *
 * Ends with 0, or with 1 and what the kernel said.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/uapi/kccm.h"

#define BUFFER_BYTES (64 * 1024)

static int netlink = -1;
static uint16_t family = GENL_ID_CTRL;
/* The message being made: a header of netlink, one of generic netlink, attributes. */
static char message[BUFFER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));

static void fail(const char* what, int error) {
  fprintf(stderr, "kccm-config: %s: %s\n", what, strerror(error));
  exit(1);
}

static struct nlmsghdr* begin(uint8_t command, uint16_t flags) {
  struct nlmsghdr* head = (struct nlmsghdr*)message;
  struct genlmsghdr* generic = NLMSG_DATA(head);

  memset(message, 0, NLMSG_SPACE(GENL_HDRLEN));
  head->nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
  head->nlmsg_type = family;
  head->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
  generic->cmd = command;
  generic->version = 1;
  return head;
}

static void put(struct nlmsghdr* head, uint16_t type, const void* data, size_t bytes) {
  struct nlattr* attr = (struct nlattr*)((char*)head + NLMSG_ALIGN(head->nlmsg_len));

  attr->nla_type = type;
  attr->nla_len = (uint16_t)(NLA_HDRLEN + bytes);
  memcpy((char*)attr + NLA_HDRLEN, data, bytes);
  head->nlmsg_len = NLMSG_ALIGN(head->nlmsg_len) + NLA_ALIGN(attr->nla_len);
}

typedef void (*attr_fn)(const struct nlattr* attr, int depth);

static void each_attr(const void* attrs, int bytes, attr_fn fn, int depth) {
  const struct nlattr* attr = attrs;

  while (bytes >= (int)sizeof(*attr) && attr->nla_len >= sizeof(*attr) && attr->nla_len <= bytes) {
    fn(attr, depth);
    bytes -= NLA_ALIGN(attr->nla_len);
    attr = (const struct nlattr*)((const char*)attr + NLA_ALIGN(attr->nla_len));
  }
}

/* Sends the message and hands what is answered to `fn`, until the kernel acknowledges it. */
static void exchange(struct nlmsghdr* head, const char* what, attr_fn fn) {
  static char answer[BUFFER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));

  if (send(netlink, head, head->nlmsg_len, 0) < 0) fail(what, errno);
  for (;;) {
    const ssize_t got = recv(netlink, answer, sizeof(answer), 0);

    if (got < 0) fail(what, errno);
    for (size_t at = 0; at + NLMSG_HDRLEN <= (size_t)got;) {
      const struct nlmsghdr* part = (const struct nlmsghdr*)(answer + at);

      at += NLMSG_ALIGN(part->nlmsg_len);
      if (part->nlmsg_type == NLMSG_DONE) return;
      if (part->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr* error = NLMSG_DATA(part);

        if (error->error) fail(what, -error->error);
        return;
      }
      each_attr((char*)NLMSG_DATA(part) + GENL_HDRLEN,
                (int)part->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, fn, 0);
      if (fn) putchar('\n');
    }
  }
}

static void* data_of(const struct nlattr* attr) { return (char*)attr + NLA_HDRLEN; }

static void find_family(const struct nlattr* attr, int depth) {
  if (!depth && attr->nla_type == CTRL_ATTR_FAMILY_ID)
    memcpy(&family, data_of(attr), sizeof(family));
}

static void show(const struct nlattr* attr, int depth) {
  unsigned type = attr->nla_type & NLA_TYPE_MASK;
  uint64_t value;
  uint16_t id;

  switch (type) {
    case KCCM_A_NODE:
      memcpy(&id, data_of(attr), sizeof(id));
      printf("node %u", id);
      break;
    case KCCM_A_STATE:
      printf(" state %s", (char*)data_of(attr));
      break;
    case KCCM_A_LANE:
      printf(" lane %u", *(uint8_t*)data_of(attr));
      break;
    case KCCM_A_NAME:
      printf(" %s", (char*)data_of(attr));
      break;
    case KCCM_A_INCARNATION:
    case KCCM_A_VALUE:
      memcpy(&value, data_of(attr), sizeof(value));
      printf(type == KCCM_A_VALUE ? " %llu" : " incarnation %llx", (unsigned long long)value);
      break;
    case KCCM_A_COUNTER:
    case KCCM_A_QUEUE:
      each_attr(data_of(attr), attr->nla_len - NLA_HDRLEN, show, depth + 1);
      break;
    default:
      break;
  }
}

static void open_netlink(void) {
  struct nlmsghdr* head;

  netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (netlink < 0) fail("netlink", errno);
  head = begin(CTRL_CMD_GETFAMILY, 0);
  put(head, CTRL_ATTR_FAMILY_NAME, KCCM_GENL_NAME, sizeof(KCCM_GENL_NAME));
  exchange(head, "the family kccm", find_family);
}

static void put_id(struct nlmsghdr* head, const char* text) {
  uint16_t id = (uint16_t)atoi(text);

  put(head, KCCM_A_NODE, &id, sizeof(id));
}

static void put_address(struct nlmsghdr* head, const char* text, const char* port) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

  if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
    put(head, KCCM_A_ADDRESS, &four, sizeof(four));
  else if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1)
    put(head, KCCM_A_ADDRESS, &six, sizeof(six));
  else
    fail(text, EINVAL);
}

static void set_node(int count, char** arguments) {
  struct nlmsghdr* head = begin(KCCM_CMD_NODE_SET, 0);
  unsigned char cluster[KCCM_CLUSTER_BYTES], key[KCCM_KEY_BYTES];

  memset(cluster, 0x77, sizeof(cluster));
  memset(key, count > 3 ? arguments[3][0] : 'k', sizeof(key));
  put_id(head, arguments[0]);
  put_address(head, arguments[1], arguments[2]);
  put(head, KCCM_A_CLUSTER, cluster, sizeof(cluster));
  put(head, KCCM_A_KEY, key, sizeof(key));
  if (count > 4) {
    uint32_t tolerance_ms = (uint32_t)atoi(arguments[4]);

    put(head, KCCM_A_TOLERANCE_MS, &tolerance_ms, sizeof(tolerance_ms));
  }
  exchange(head, "node", NULL);
}

static void show_all(const char* what) {
  if (!strcmp(what, "node"))
    exchange(begin(KCCM_CMD_NODE_GET, 0), what, show);
  else if (!strcmp(what, "peers"))
    exchange(begin(KCCM_CMD_PEER_GET, NLM_F_DUMP), what, show);
  else if (!strcmp(what, "queues"))
    exchange(begin(KCCM_CMD_QUEUE_GET, NLM_F_DUMP), what, show);
  else
    fail(what, EINVAL);
}

/* Whether there is such a command. */
static bool run(int argc, char** argv) {
  const char* command = argc > 0 ? argv[0] : "";
  struct nlmsghdr* head;

  if (!strcmp(command, "node") && argc >= 4) {
    set_node(argc - 1, argv + 1);
  } else if (!strcmp(command, "node-del") && argc == 1) {
    exchange(begin(KCCM_CMD_NODE_DEL, 0), command, NULL);
  } else if (!strcmp(command, "peer") && argc == 4) {
    head = begin(KCCM_CMD_PEER_ADD, 0);
    put_id(head, argv[1]);
    put_address(head, argv[2], argv[3]);
    exchange(head, command, NULL);
  } else if (!strcmp(command, "peer-del") && argc == 2) {
    head = begin(KCCM_CMD_PEER_DEL, 0);
    put_id(head, argv[1]);
    exchange(head, command, NULL);
  } else if (!strcmp(command, "show") && argc == 2) {
    show_all(argv[1]);
  } else {
    return false;
  }
  return true;
}

int main(int argc, char** argv) {
  int begin = 1, end;

  open_netlink();
  do {
    for (end = begin; end < argc && strcmp(argv[end], ",") != 0;) end++;
    if (!run(end - begin, argv + begin)) {
      fprintf(stderr, "kccm-config: see kccm_config.c for what it takes\n");
      return 2;
    }
    begin = end + 1;
  } while (end < argc);
  close(netlink);
  return 0;
}
