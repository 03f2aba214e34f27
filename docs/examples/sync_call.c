/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls a handler on another node and waits for its answer. In two terminals:
 *	$ sync_call serve 127.0.0.1:7501
 *	$ sync_call call 127.0.0.1:7501 hello
 *	node 2 says: HELLO
 */
#include <clustix/clustix.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { CALLER = 1, SERVER = 2, SHOUT = 1000 /* a port */ };

/* The handler: answers with the text in capitals. */
static void shout(const struct clustix_message* message, void* node) {
  const unsigned char* text = message->payload;
  char loud[256];
  size_t bytes = message->bytes < sizeof loud ? message->bytes : sizeof loud;
  for (size_t i = 0; i < bytes; i++) loud[i] = (char)toupper(text[i]);
  clustix_answer(node, &message->request, 0, loud, bytes);
}

static int serve(struct clustix_node* node) {
  clustix_handle(node, SHOUT, shout, node);
  printf("listening on %s\n", clustix_address(node));
  fflush(stdout);
  return clustix_run(node, CLUSTIX_FOREVER);
}

static int call(struct clustix_node* node, const char* text) {
  struct clustix_reply reply;
  int result = clustix_call(node, SERVER, SHOUT, text, strlen(text), NULL, &reply);
  if (result == CLUSTIX_OK)
    printf("node %d says: %.*s\n", SERVER, (int)reply.bytes, (const char*)reply.payload);
  else
    fprintf(stderr, "no answer: %s\n", clustix_result_name(result));
  return result;
}

int main(int argc, char** argv) {
  int serving = argc == 3 && strcmp(argv[1], "serve") == 0;
  if (!serving && (argc != 4 || strcmp(argv[1], "call") != 0))
    return fputs("usage: sync_call serve ADDRESS | call ADDRESS TEXT\n", stderr), 2;

  struct clustix_peer peer = {serving ? CALLER : SERVER, serving ? NULL : argv[2]};
  struct clustix_options options = CLUSTIX_OPTIONS_INIT;
  options.node = serving ? SERVER : CALLER;
  options.listen_address = serving ? argv[2] : "127.0.0.1:0";
  options.peers = &peer;
  options.peer_count = 1;
  clustix_parse_uuid("6ba7b810-9dad-41d1-80b4-00c04fd430c8", options.cluster);
  memset(options.key, 0x5e, sizeof options.key); /* a real cluster's: clustix_load_key() */

  struct clustix_node* node = NULL;
  if (clustix_open(&options, &node) != CLUSTIX_OK) fprintf(stderr, "%s\n", clustix_error());
  int failed = node == NULL || (serving ? serve(node) : call(node, argv[3])) != CLUSTIX_OK;
  clustix_close(node);
  return failed;
}
