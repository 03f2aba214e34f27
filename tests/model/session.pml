/* SPDX-License-Identifier: Apache-2.0
 *
 * One lane of lib/session between an initiator (node 0) and a responder (node 1): the handshake with its
 * session ids, resending, duplicate suppression and the outcomes told, under cut connections,
 * half-open connections and restarts. README.md maps each step to the code.
 *
 * Checked by assertion in every reachable state:
 *   - a message is delivered at most once, and in order;
 *   - told "accepted": it was delivered; told "not delivered": it never was and never will be;
 *   - no gap, and no acknowledgement of what was never written;
 * and where nothing more can happen: every message of a living sender has an outcome, and if no
 * message was settled by a restart, all were delivered.
 *
 * The macros MUTATE_* break one step each; the check must then find an error.
 */
#ifndef MESSAGES
#define MESSAGES 2 /* that each node sends in all */
#endif
#ifndef CUTS
#define CUTS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#define NONE 255
#define SLOTS 2 /* connections that may exist at once: a new one, and one half-open */
#define OTHER(n) (1 - (n))

mtype = { HELLO, REPLY, PROOF, DATA, ACK, PENDING, ACCEPTED, NOT_DELIVERED, UNKNOWN, ORPHAN };
mtype = { FREE, WAIT_REPLY, WAIT_HELLO, WAIT_PROOF, ESTABLISHED };

/* pipe[slot * 2 + n] carries what node n has written on the connection. */
chan pipe[4] = [3] of { mtype, byte, byte, byte, byte };

typedef Node {
  byte session; byte remote;            /* ids of this state and of the peer's, 0: none */
  byte sessions;                        /* how many there have been */
  byte next; byte base; byte cursor; byte sent_end; byte next_expected; byte told;
  byte first;                           /* message number of sequence number 0 of this session */
  byte attempt;
  byte conn;                            /* the established connection, or NONE */
  byte last_delivered;                  /* highest message number of the peer delivered here */
};
Node node[2];

typedef Tip { mtype state; byte attempt; byte heard_session; byte heard_next; byte told_session;
  byte sessions; };
Tip tip[4];                             /* tip[slot * 2 + n]: node n's end of the connection */
/* The responder's session for an initiator's: computed, and another one after a restart. */
#define OFFER(initiators) (100 + 50 * lives[1] + initiators)
byte lives[2];
byte fresh = 1, cuts, crashes, settled_by_restart;

typedef Messages { mtype outcome[MESSAGES + 1]; bit delivered[MESSAGES + 1]; };
Messages sent_by[2];

inline new_session(n) { node[n].session = fresh; fresh++ }

/* kccm_conn_closed(): this end is gone; what the other has written may still be read by nobody. */
inline drop_end(n, s) {
  tip[(s) * 2 + n].state = FREE; tip[(s) * 2 + n].attempt = 0; tip[(s) * 2 + n].heard_session = 0;
  tip[(s) * 2 + n].heard_next = 0; tip[(s) * 2 + n].told_session = 0;
  tip[(s) * 2 + n].sessions = 0;
  if :: node[n].conn == s -> node[n].conn = NONE :: else fi
}

/* The queue and the receiving side start empty. */
inline restart_lane(n) {
  node[n].first = node[n].first + node[n].next - 1;
  node[n].next = 1; node[n].base = 1; node[n].cursor = 1; node[n].sent_end = 1;
  node[n].next_expected = 1; node[n].told = 0; node[n].remote = 0;
  if :: n == 1 -> node[n].attempt = 0 :: else fi
}

/* kccm_peer_reset(): every message not known to be accepted is settled. */
inline settle(n) {
  q = node[n].base;
  do
  :: q < node[n].next ->
     m = node[n].first + q;
     if
#ifdef MUTATE_UNKNOWN_TOLD_AS_NOT_DELIVERED
     :: true -> sent_by[n].outcome[m] = NOT_DELIVERED; assert(!sent_by[n].delivered[m])
#else
     :: q < node[n].sent_end -> sent_by[n].outcome[m] = UNKNOWN
     :: else -> sent_by[n].outcome[m] = NOT_DELIVERED; assert(!sent_by[n].delivered[m])
#endif
     fi;
     q++
  :: else -> break
  od;
  m = 0; q = 0;
  settled_by_restart = 1;
  node[n].sessions++;
  s2 = 0;
  do
  :: s2 < SLOTS ->
     if :: tip[s2 * 2 + n].state != FREE && tip[s2 * 2 + n].state != WAIT_PROOF -> drop_end(n, s2)
     :: else fi;
     s2++
  :: else -> break
  od;
  s2 = 0;
  restart_lane(n)
}

/* kccm_lane_accepted(): the peer has everything up to `upto`. */
inline accepted(n, upto) {
  assert(upto < node[n].sent_end);
  do
  :: node[n].base <= upto ->
     m = node[n].first + node[n].base;
     assert(sent_by[n].delivered[m]);
     sent_by[n].outcome[m] = ACCEPTED;
     node[n].base++
  :: else -> break
  od;
  m = 0;
  if :: node[n].cursor < node[n].base -> node[n].cursor = node[n].base :: else fi
}

/* kccm_lane_attach() */
inline attach(n, s, heard) {
  if :: node[n].conn != NONE && node[n].conn != s -> drop_end(n, node[n].conn) :: else fi;
  node[n].conn = s;
  tip[(s) * 2 + n].state = ESTABLISHED;
#ifndef MUTATE_NO_ACK_AFTER_RECONNECT
  node[n].told = 0;                     /* the hello may be older than what came in meanwhile */
#endif
  accepted(n, heard - 1);
#ifdef MUTATE_NO_REWIND
  skip
#else
  node[n].cursor = node[n].base
#endif
}

/* Writes; to a connection whose other end is gone, into the void. */
inline put(n, s, type, a, b, c, d) {
  if
  :: tip[(s) * 2 + OTHER(n)].state != FREE -> pipe[(s) * 2 + n] ! type, a, b, c, d
  :: else
  fi
}

inline clear(channel) {
  do :: channel ? _, _, _, _, _ :: empty(channel) -> break od
}

proctype Run(byte n) {
  byte s, s2, q, m, a, b, c, d, verdict;

end_wait:
  do
  /* The application queues a message. */
  :: atomic { node[n].first + node[n].next <= MESSAGES ->
       sent_by[n].outcome[node[n].first + node[n].next] = PENDING;
       node[n].next++ }

  /* The initiator dials, on a connection that both ends have let go. */
  :: atomic { n == 0 && tip[0].state != WAIT_REPLY && tip[2].state != WAIT_REPLY &&
       node[0].conn == NONE &&
       (tip[0].state == FREE && tip[1].state == FREE || tip[2].state == FREE && tip[3].state == FREE) ->
       if :: tip[0].state == FREE && tip[1].state == FREE -> s = 0
          :: else -> s = 1 fi;
       clear(pipe[s * 2]); clear(pipe[s * 2 + 1]);
       node[0].attempt++;
       tip[s * 2].state = WAIT_REPLY; tip[s * 2 + 1].state = WAIT_HELLO;
       put(0, s, HELLO, node[0].session, node[0].remote, node[0].next_expected, node[0].attempt);
       s = 0 }

  /* kccm_hello_received() */
  :: atomic { n == 1 && tip[1].state == WAIT_HELLO && pipe[0] ? [HELLO, a, b, c, d] -> s = 0; goto hello }
  :: atomic { n == 1 && tip[3].state == WAIT_HELLO && pipe[2] ? [HELLO, a, b, c, d] -> s = 1; goto hello }
  /* kccm_hello_reply_received() */
  :: atomic { n == 0 && tip[0].state == WAIT_REPLY && pipe[1] ? [REPLY, a, b, c, d] -> s = 0; goto reply }
  :: atomic { n == 0 && tip[2].state == WAIT_REPLY && pipe[3] ? [REPLY, a, b, c, d] -> s = 1; goto reply }
  /* kccm_hello_proof_received() */
  :: atomic { n == 1 && tip[1].state == WAIT_PROOF && pipe[0] ? [PROOF, _, _, _, _] -> s = 0; goto proof }
  :: atomic { n == 1 && tip[3].state == WAIT_PROOF && pipe[2] ? [PROOF, _, _, _, _] -> s = 1; goto proof }

  /* kccm_queue_gather(): a message is written. */
  :: atomic { node[n].conn != NONE && node[n].cursor < node[n].next &&
       nfull(pipe[node[n].conn * 2 + n]) ->
       put(n, node[n].conn, DATA, node[n].cursor, node[n].first + node[n].cursor, 0, 0);
       node[n].cursor++;
#ifdef MUTATE_TRIM_WHEN_WRITTEN
       node[n].base = node[n].cursor;
#endif
       if :: node[n].sent_end < node[n].cursor -> node[n].sent_end = node[n].cursor :: else fi }

  /* An acknowledgement is written. */
  :: atomic { node[n].conn != NONE && node[n].told < node[n].next_expected - 1 &&
       nfull(pipe[node[n].conn * 2 + n]) ->
       put(n, node[n].conn, ACK, node[n].next_expected - 1, 0, 0, 0);
       node[n].told = node[n].next_expected - 1 }
#ifdef MUTATE_ACK_BEFORE_DELIVERY
  :: atomic { node[n].conn != NONE && pipe[node[n].conn * 2 + OTHER(n)] ? [DATA, a, b, c, d] &&
       nfull(pipe[node[n].conn * 2 + n]) ->
       pipe[node[n].conn * 2 + OTHER(n)] ? <DATA, a, b, c, d>;
       put(n, node[n].conn, ACK, a, 0, 0, 0); a = 0; b = 0; c = 0; d = 0 }
#endif

  /* kccm_lane_received() and kccm_lane_acked(), on either connection that is established here: the
   * one in use, or a half-open one that is not superseded yet. */
  :: atomic { node[n].conn != NONE && pipe[node[n].conn * 2 + OTHER(n)] ? [DATA, a, b, c, d] ->
       pipe[node[n].conn * 2 + OTHER(n)] ? DATA, a, b, c, d;
       if
#ifdef MUTATE_NO_DUPLICATE_CHECK
       :: a < node[n].next_expected -> assert(!sent_by[OTHER(n)].delivered[b])
#else
       :: a < node[n].next_expected
#endif
       :: a == node[n].next_expected ->
          assert(!sent_by[OTHER(n)].delivered[b]);
          assert(sent_by[OTHER(n)].outcome[b] != NOT_DELIVERED);
          assert(b > node[n].last_delivered);
          sent_by[OTHER(n)].delivered[b] = 1;
          node[n].last_delivered = b;
          node[n].next_expected++
       :: a > node[n].next_expected -> assert(false)
       fi;
       a = 0; b = 0; c = 0; d = 0 }
  :: atomic { node[n].conn != NONE && pipe[node[n].conn * 2 + OTHER(n)] ? [ACK, a, b, c, d] ->
       pipe[node[n].conn * 2 + OTHER(n)] ? ACK, a, b, c, d;
       accepted(n, a);
       a = 0; b = 0; c = 0; d = 0 }

  /* An end is cut; the other may notice at any time later, or never. */
  :: atomic { cuts < CUTS && tip[n].state != FREE -> cuts++; drop_end(n, 0) }
  :: atomic { cuts < CUTS && tip[2 + n].state != FREE -> cuts++; drop_end(n, 1) }
  :: atomic { tip[n].state != FREE && tip[OTHER(n)].state == FREE -> drop_end(n, 0) }
  :: atomic { tip[2 + n].state != FREE && tip[2 + OTHER(n)].state == FREE -> drop_end(n, 1) }

  /* The node's process is killed and started again; its own messages have no owner any more. */
  :: atomic { crashes < CRASHES && fresh < 6 ->
       crashes++;
       q = node[n].base;
       do :: q < node[n].next -> sent_by[n].outcome[node[n].first + q] = ORPHAN; q++
          :: else -> break od;
       q = 0;
       settled_by_restart = 1;
       drop_end(n, 0); drop_end(n, 1);
       restart_lane(n);
       node[n].attempt = 0; node[n].last_delivered = 0;
       node[n].sessions = 0;
       lives[n]++;
       new_session(n) }
  od;

hello:
  atomic {
    pipe[s * 2] ? HELLO, a, b, c, d;
    if
    :: node[1].remote == a && d <= node[1].attempt -> drop_end(1, s)
    :: else ->
       tip[s * 2 + 1].heard_session = a; tip[s * 2 + 1].heard_next = c; tip[s * 2 + 1].attempt = d;
       tip[s * 2 + 1].sessions = node[1].sessions;
       verdict = 0;
       /* choose_session() */
       if
       :: node[1].remote == a ->
          if :: b != 0 && b != node[1].session -> verdict = 1 :: else fi;
          tip[s * 2 + 1].told_session = node[1].session
#ifdef MUTATE_KEEP_SESSION_OF_RESTARTED_PEER
       :: node[1].remote != a -> node[1].remote = a; tip[s * 2 + 1].told_session = node[1].session
#else
#ifdef MUTATE_OFFER_IS_NOT_RECOGNISED
       :: node[1].remote != a && b == 0 -> tip[s * 2 + 1].told_session = OFFER(a)
       :: node[1].remote != a && b != 0 ->
#else
       :: node[1].remote != a && (b == 0 || b == OFFER(a)) ->
          tip[s * 2 + 1].told_session = OFFER(a)
       :: node[1].remote != a && b != 0 && b != OFFER(a) ->
#endif
          verdict = 1; tip[s * 2 + 1].told_session = node[1].session
#endif
       fi;
       tip[s * 2 + 1].state = WAIT_PROOF;
       if
       :: tip[s * 2 + 1].told_session == node[1].session ->
          put(1, s, REPLY, verdict, tip[s * 2 + 1].told_session, node[1].next_expected, 0)
       :: else -> put(1, s, REPLY, verdict, tip[s * 2 + 1].told_session, 1, 0)
       fi
    fi;
    a = 0; b = 0; c = 0; d = 0; s = 0; verdict = 0
  }
  goto again;

reply:
  atomic {
    pipe[s * 2 + 1] ? REPLY, a, b, c, d;
    if
    :: (a == 1 || c < node[0].base) && node[0].remote != 0 ->
       assert(lives[0] + lives[1] != 0); /* nothing ends between two live nodes */
       settle(0); new_session(0)
    :: (a == 1 || c < node[0].base) && node[0].remote == 0 -> drop_end(0, s)
    :: a == 0 && c >= node[0].base && node[0].remote != 0 && node[0].remote != b -> drop_end(0, s)
    :: a == 0 && c >= node[0].base && (node[0].remote == 0 || node[0].remote == b) ->
       node[0].remote = b;
       attach(0, s, c);
       put(0, s, PROOF, 0, 0, 0, 0)
    fi;
    a = 0; b = 0; c = 0; d = 0; s = 0
  }
  goto again;

proof:
  atomic {
    pipe[s * 2] ? PROOF, a, b, c, d;
    if
    :: node[1].remote == tip[s * 2 + 1].heard_session && tip[s * 2 + 1].attempt <= node[1].attempt ->
       drop_end(1, s)
    :: else ->
       if
       :: tip[s * 2 + 1].told_session != node[1].session &&
          tip[s * 2 + 1].sessions != node[1].sessions -> drop_end(1, s)
       :: tip[s * 2 + 1].told_session != node[1].session &&
          tip[s * 2 + 1].sessions == node[1].sessions ->
          if :: node[1].remote != 0 -> settle(1) :: else -> node[1].sessions++ fi;
          node[1].session = tip[s * 2 + 1].told_session;
          goto establish
       :: tip[s * 2 + 1].told_session == node[1].session && node[1].remote != 0 &&
          node[1].remote != tip[s * 2 + 1].heard_session -> drop_end(1, s)
       :: else ->
establish: node[1].remote = tip[s * 2 + 1].heard_session;
          node[1].attempt = tip[s * 2 + 1].attempt;
          c = tip[s * 2 + 1].heard_next;
          attach(1, s, c)
       fi
    fi;
    a = 0; b = 0; c = 0; d = 0; s = 0
  }
again:
  goto end_wait
}

/* Nothing more can happen: the faults are used up, and both nodes wait for each other. */
proctype Quiet() {
  byte n, m;
  timeout;
  atomic {
    do
    :: n < 2 ->
       m = 1;
       do
       :: m <= MESSAGES ->
          assert(sent_by[n].outcome[m] != 0 && sent_by[n].outcome[m] != PENDING);
          assert(sent_by[n].delivered[m] || settled_by_restart);
          m++
       :: else -> break
       od;
       n++
    :: else -> break
    od
  }
}

init {
  atomic {
    byte i;
    node[0].session = 1; node[1].session = 2; fresh = 3;
    do
    :: i < 2 ->
       node[i].next = 1; node[i].base = 1; node[i].cursor = 1; node[i].sent_end = 1;
       node[i].next_expected = 1; node[i].conn = NONE;
       tip[i].state = FREE; tip[2 + i].state = FREE;
       i++
    :: else -> break
    od;
    i = 0;
    run Run(0); run Run(1); run Quiet()
  }
}
