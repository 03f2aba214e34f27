/* SPDX-License-Identifier: Apache-2.0
 *
 * One object of a set with two copies (lib/kddm, docs/KDDM.md) on three nodes: reads, grabs and puts in every
 * order of messages, while one node crashes at any moment. Node 0 is home, and node 1 after it. README.md maps
 * each step to the code.
 *
 * A version stands for the value. Checked by assertion in every reachable state:
 *   - whoever reads or grabs gets the last committed value (`seen`), and a grab is alone;
 *   - a node that is granted something without its bytes has them;
 *   - a value is never lost, though a node is;
 * and where nothing more can happen: every operation of a living node has ended, the value is on as many
 * living nodes as there are to be, and none has another one that it may read.
 *
 * The macros MUTATE_* break one step each; the check must then find an error.
 */
#ifndef OPERATIONS
#define OPERATIONS 3 /* of all nodes together */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LANES
#define LANES 1 /* 2: what carries bytes travels apart from the rest */
#endif

#define NODES 3
#define NONE 3
#define BIT(n) (1 << (n))
#define HAS(set, n) (((set) >> (n)) & 1)
#define MAX(a, b) ((a) > (b) -> (a) : (b))

mtype = { READ, WRITE, PUT, REPLY, INV, INV_ACK, RECALL, RECALL_ACK, BACKUP, BACKUP_ACK, PULL, PULLED, REPORT };
#define NOTHING 0 /* no operation, request, demand */
mtype = { REPAIR, INVALID, SHARED, EXCLUSIVE };
mtype = { START, AWAIT_RECALL, AWAIT_INV, AWAIT_BACKUP, AWAIT_ASSURED, AWAIT_PULL, AWAIT_OWNER_PUT };
mtype = { DROP, KEEP, DEMOTE };
mtype = { AS_SHARED, AS_EXCLUSIVE, AS_PUTTING, AS_BACKUP, AS_DEMOTED };

/* What travels. `word` is a reply's right, an invalidation's mode, a report's role; `flag`: with bytes, or
 * of a report that the grantee lives. */
typedef Message {
  mtype kind; byte request; byte stamp; byte version; byte peer; mtype word; bit flag; bit late
};
/* late: sent in the second view. */
#define FIELDS(m) m.kind, m.request, m.stamp, m.version, m.peer, m.word, m.flag, m.late
#define PIPE(from, to, lane) (((from) * NODES + (to)) * 2 + (lane))
chan pipe[18] = [4] of { mtype, byte, byte, byte, byte, mtype, bit, bit };
chan loopback = [6] of { mtype, byte, byte, byte, byte, mtype, bit, bit };

/* lib/kddm/copy.h: Copy, Activity, Pending, Demand. */
typedef Node {
  bit alive; bit late;                       /* has installed the second view */
  mtype state; byte version;                 /* 0: no value is here */
  byte stamp; byte grantee;
  mtype op;                                  /* READ or WRITE: waits */
  bit writer; bit tenure;
  mtype pending; byte request; byte next_request; byte put_version;
  mtype demand; mtype mode; byte peer; byte demand_stamp; bit told
};
Node node[NODES];

/* lib/kddm/directory.h: DirEntry; home.h: Transaction. Of the home that is. */
typedef Request { mtype want; byte from; byte id; byte version };
byte home = 0;
bit rebuilding; byte unreported;
byte e_version; bit e_exclusive; byte e_owner; bit e_demoted; bit e_unsure;
byte e_backups; byte e_sharers; byte e_dropping;
Request t; mtype phase = START; bit invalidated; bit unproven;
byte t_stamp; byte waiting; byte holding; byte assured; byte unable; byte leftover;
Request queue[5]; byte queued;
byte last_stamp;
typedef Report { mtype role; byte version; byte grantee; byte demoted; bit lives };
Report report[NODES];
Message early[5]; byte early_from[5]; byte earlies;

byte operations; byte crashes;
byte seen = 1;                               /* the highest version that an operation ended with */

/* Scratch: of no meaning between two events. */
hidden byte me, src, i, j, bk, targets, keeps, demotes, last, yes, wait_, serve;
hidden Message m, s;

#define PUTTING(n) (node[n].pending == PUT)
#define READABLE(n) (node[n].state != INVALID && !PUTTING(n))
#define MEMBER(n) ((n) != NONE && (!node[me].late || node[n].alive))
#define HOME_HAS_VALUE (node[home].version == e_version)

#define HOME_IN_VIEW (node[me].late && !node[0].alive -> 1 : 0)

/* Context::Send(). */
inline send(to) {
  s.late = node[me].late;
  if
  :: to == me -> loopback!FIELDS(s)
  :: else ->
     if
     :: MEMBER(to) && node[to].alive ->
        if
        :: LANES == 2 && s.flag && s.kind != REPORT -> pipe[PIPE(me, to, 1)]!FIELDS(s)
        :: else -> pipe[PIPE(me, to, 0)]!FIELDS(s)
        fi
     :: else
     fi
  fi
}
/* A macro, as spin takes no indexed argument of an inline within another. */
#define message(a_kind, a_request, a_stamp, a_version, a_peer, a_word, a_flag) \
  s.kind = a_kind; s.request = a_request; s.stamp = a_stamp; s.version = a_version; s.peer = a_peer; \
  s.word = a_word; s.flag = a_flag

/* ---- The holder ------------------------------------------------------------------------------- */

inline saw(version_) {
  assert(version_ >= seen);
  seen = version_
}

inline drop_value() {
  node[me].version = 0; node[me].grantee = NONE; node[me].state = INVALID
}

/* Holder::SendRequest() */
inline send_request() {
  message(node[me].pending, node[me].request, 0,
          (PUTTING(me) -> node[me].put_version : node[me].version), NONE, 0, PUTTING(me));
  send(HOME_IN_VIEW)
}
inline no_demand() {
  node[me].demand = NOTHING; node[me].mode = 0; node[me].peer = NONE; node[me].demand_stamp = 0;
  node[me].told = 0
}

#define CAN_HONOUR ((node[me].demand == INV && !node[me].told && !node[me].writer) || \
  (node[me].demand == RECALL && \
   ((node[me].state != EXCLUSIVE && node[me].pending != WRITE) || \
    (node[me].state == EXCLUSIVE && (PUTTING(me) || !node[me].writer)))))

#ifdef MUTATE_NO_TELLING_OF_REQUESTS
#define REQUEST_TOLD 0
#else
#define REQUEST_TOLD node[me].request
#endif

/* Holder::HonourInv() */
inline honour_inv() {
  if
  :: !PUTTING(me) ->
     if
     :: node[me].mode == DROP -> drop_value()
     :: else ->
        node[me].grantee = (node[me].mode == DEMOTE -> node[me].peer : NONE);
        node[me].state = INVALID
     fi;
     node[me].stamp = node[me].demand_stamp
  :: else
  fi;
  message(INV_ACK, (node[me].pending != NOTHING -> REQUEST_TOLD : 0), node[me].demand_stamp, 0, NONE, 0, 0);
  send(HOME_IN_VIEW);
  if
  :: node[me].pending != NOTHING -> node[me].told = 1
  :: else -> no_demand()
  fi
}

/* Holder::HonourRecall() */
inline honour_recall() {
  last = node[me].demand_stamp;
  no_demand();
  if
  :: PUTTING(me) || node[me].state != EXCLUSIVE    /* the put answers, or what is on its way */
  :: else ->
     node[me].state = SHARED; node[me].stamp = last;
     message(RECALL_ACK, 0, last, node[me].version, NONE, 0, 0);
     send(HOME_IN_VIEW)
  fi
}

/* Holder::Pump() */
inline pump() {
  do
  :: node[me].demand != NOTHING && !node[me].tenure && CAN_HONOUR ->
     if
     :: node[me].demand == INV -> honour_inv()
     :: else -> honour_recall()
     fi;
     if
     :: node[me].told -> break
     :: else
     fi
  :: else ->
     if
     :: node[me].op != NOTHING && (node[me].demand == NOTHING || node[me].tenure) &&
        !node[me].writer && !PUTTING(me) &&
        ((node[me].op == READ && node[me].state != INVALID) ||
         (node[me].op == WRITE && node[me].state == EXCLUSIVE)) ->
        node[me].tenure = 0;
        saw(node[me].version);
        if
        :: node[me].op == WRITE ->
           for (i : 0 .. NODES - 1) {
             assert(i == me || !node[i].alive || (!READABLE(i) && !node[i].writer))
           }
           node[me].writer = 1
        :: else
        fi;
        node[me].op = NOTHING
     :: else ->
        if
        :: node[me].tenure -> node[me].tenure = 0
        :: else -> break
        fi
     fi
  od;
  /* RequestForFront() */
  if
  :: node[me].op != NOTHING && node[me].pending == NOTHING && node[me].demand == NOTHING &&
     !node[me].writer && !(node[me].op == WRITE && node[me].state == EXCLUSIVE) ->
     node[me].next_request++;
     node[me].pending = node[me].op; node[me].request = node[me].next_request;
     send_request()
  :: else
  fi;
  forget_if_idle()
}

/* Holder::ForgetIfIdle() */
inline forget_if_idle() {
  if
  :: node[me].state == INVALID && node[me].version == 0 && node[me].op == NOTHING && !node[me].writer &&
     node[me].pending == NOTHING && node[me].demand == NOTHING -> node[me].stamp = 0
  :: else
  fi
}

/* Holder::OnReply() */
inline on_reply() {
  if
  :: node[me].pending != NOTHING && node[me].request == m.request ->
     yes = PUTTING(me);
     node[me].pending = NOTHING; node[me].request = 0;
#ifndef MUTATE_OLD_DEMAND_KEPT
     if
     :: node[me].demand_stamp < m.stamp -> no_demand()
     :: else -> node[me].told = 0
     fi;
#else
     node[me].told = 0;
#endif
     if
     :: yes ->
        /* It happened between being asked for and now; others may have written since. */
        seen = MAX(seen, node[me].put_version);
        if
        :: m.word == SHARED ->
           node[me].version = node[me].put_version; node[me].grantee = NONE;
           node[me].state = SHARED; node[me].tenure = 1
        :: else ->
           if
           :: m.stamp > node[me].stamp -> drop_value()
           :: else
           fi
        fi;
        node[me].put_version = 0
     :: else ->
        assert(m.flag || node[me].version == m.version);
        node[me].version = m.version; node[me].grantee = NONE;
        node[me].state = m.word;
        node[me].tenure = 1
     fi;
     node[me].stamp = MAX(node[me].stamp, m.stamp);
     pump()
  :: else
  fi
}

/* Holder::OnInv() */
inline on_inv() {
  if
  :: m.stamp < node[me].stamp ->
     message(INV_ACK, 0, m.stamp, 0, NONE, 0, 0);
     send(src)
  :: else ->
     node[me].demand = INV; node[me].mode = m.word; node[me].peer = m.peer;
     node[me].demand_stamp = m.stamp; node[me].told = 0;
     pump()
  fi
}

/* Holder::OnRecall() */
inline on_recall() {
  if
  :: m.stamp < node[me].stamp
  :: else ->
     node[me].demand = RECALL; node[me].mode = 0; node[me].peer = m.peer;
     node[me].demand_stamp = m.stamp; node[me].told = 0;
     pump()
  fi
}

/* Holder::OnBackup() */
inline on_backup() {
  if
  :: node[me].version == m.version
  :: else ->
     assert(m.flag);
     node[me].version = m.version; node[me].state = INVALID
  fi;
  node[me].grantee = m.peer; node[me].stamp = m.stamp;
  message(BACKUP_ACK, 0, m.stamp, 0, NONE, 0, 0);
  send(src);
  forget_if_idle()
}

/* Holder::OnPull() */
inline on_pull() {
  message(PULLED, 0, m.stamp, m.version, NONE, 0,
          (node[me].version == m.version || (PUTTING(me) && node[me].put_version == m.version)));
  send(src)
}

/* ---- The home --------------------------------------------------------------------------------- */

#define NEXT_STAMP last_stamp = last_stamp + 1

/* Home::Backers(): who holds the value beside the home once `writer` has committed. One, as two copies are
 * wanted and two members are left at least. */
inline backer(writer_) {
  bk = NONE;
  if
  :: writer_ != NONE && writer_ != home && MEMBER(writer_) -> bk = writer_
  :: else ->
     for (j : 0 .. NODES - 1) {
       if
       :: bk == NONE && j != home && HAS(e_backups, j) && MEMBER(j) -> bk = j
       :: else
       fi
     }
     for (j : 0 .. NODES - 1) {
       if
       :: bk == NONE && j != home && HAS(holding, j) && MEMBER(j) -> bk = j
       :: else
       fi
     }
     for (j : 0 .. NODES - 1) {
       if
       :: bk == NONE && j != home && MEMBER(j) -> bk = j
       :: else
       fi
     }
  fi
}

inline send_inv(to, mode_) {
  message(INV, 0, last_stamp, 0, t.from, mode_, 0);
  send(to)
}

/* Home::DropOld() */
inline drop_old(who) {
  if
  :: MEMBER(who) ->
     e_dropping = e_dropping | BIT(who);
     for (i : 0 .. 4) {
       if
       :: i < queued && queue[i].from == who && (queue[i].want == READ || queue[i].want == WRITE) ->
          queue[i].version = 0
       :: else
       fi
     }
     NEXT_STAMP;
     send_inv(who, DROP)
  :: else
  fi
}

/* Home::SetBackups() */
inline set_backups() {
  targets = e_backups | holding;
  e_backups = BIT(bk);
  for (j : 0 .. NODES - 1) {
    if
    :: HAS(targets, j) && j != bk && !HAS(e_sharers, j) -> drop_old(j)
    :: else
    fi
  }
  e_demoted = 0
}

/* Home::SendBackup() */
inline send_backup(to, version_, peer_) {
  NEXT_STAMP;
  t_stamp = last_stamp;
  assert(version_ != e_version || HOME_HAS_VALUE);
  message(BACKUP, 0, t_stamp, version_, peer_, 0, 1);
  send(to)
}

/* Home::BackUp(): sets wait_. */
inline back_up(writer_, version_) {
  backer(writer_);
  wait_ = 0;
  if
  :: bk == writer_ || HAS(holding, bk) || (version_ == e_version && !e_demoted && HAS(e_backups, bk)) ->
     if
     :: version_ == e_version -> set_backups()
     :: else
     fi
  :: else ->
#ifndef MUTATE_COMMIT_WITHOUT_BACKUP
     send_backup(bk, version_, NONE);
     phase = AWAIT_BACKUP; waiting = BIT(bk); wait_ = 1
#else
     send_backup(bk, version_, NONE)
#endif
  fi
}

/* Home::PullValue(): sets wait_. */
inline pull_value() {
  wait_ = 0;
  if
  :: HOME_HAS_VALUE
  :: else ->
     last = e_sharers | e_backups | (e_exclusive && e_owner != NONE -> BIT(e_owner) : 0);
     bk = NONE;
     for (j : 0 .. NODES - 1) {
       if
       :: bk == NONE && HAS(last, j) && !HAS(unable, j) && MEMBER(j) -> bk = j
       :: else
       fi
     }
     if
     :: bk != NONE ->
        unable = unable | BIT(bk);
        NEXT_STAMP;
        t_stamp = last_stamp;
        message(PULL, 0, t_stamp, e_version, NONE, 0, 0);
        send(bk);
        phase = AWAIT_PULL; waiting = BIT(bk); wait_ = 1
     :: else ->
        unable = 0;
        assert(e_exclusive)                  /* else it is lost */
     fi
  fi
}

inline begin(want_, from_, id_, version_) {
  t.want = want_; t.from = from_; t.id = id_; t.version = version_;
  phase = START; invalidated = 0; holding = 0; assured = 0; unable = 0
}
inline finish() { begin(NOTHING, NONE, 0, 0) }

inline enqueue_first(want_, from_, id_, version_) {
  assert(queued < 5);
  for (i : 0 .. 3) {
    queue[4 - i].want = queue[3 - i].want; queue[4 - i].from = queue[3 - i].from;
    queue[4 - i].id = queue[3 - i].id; queue[4 - i].version = queue[3 - i].version
  }
  queue[0].want = want_; queue[0].from = from_; queue[0].id = id_; queue[0].version = version_;
  queued++
}
inline erase_queued(at) {
  for (i : at .. 3) {
    queue[i].want = queue[i + 1].want; queue[i].from = queue[i + 1].from;
    queue[i].id = queue[i + 1].id; queue[i].version = queue[i + 1].version
  }
  queue[4].want = NOTHING; queue[4].from = NONE; queue[4].id = 0; queue[4].version = 0;
  queued--
}

/* Home::RepairIsQueued(): sets yes. */
inline repair_is_queued() {
  yes = 0;
  for (i : 0 .. 4) {
    if
    :: i < queued && queue[i].want == REPAIR -> yes = 1
    :: else
    fi
  }
}

/* Home::QueueRepair() */
inline queue_repair() {
  repair_is_queued();
  if
  :: !yes -> enqueue_first(REPAIR, home, 0, 0)
  :: else
  fi
}

/* Home::PutFirst(): sets yes. */
inline put_first() {
  yes = 0;
  last = 5;
  for (i : 0 .. 4) {
    if
    :: i < queued && queue[i].want == PUT && last == 5 -> last = i
    :: else
    fi
  }
  if
  :: last < 5 ->
     m.request = queue[last].id; m.version = queue[last].version; m.peer = queue[last].from;
     erase_queued(last);
     enqueue_first(t.want, t.from, t.id, t.version);
     begin(PUT, m.peer, m.request, m.version);
     yes = 1
  :: else
  fi
}

/* Home::CallBack(): sets wait_; what is not volatile is shared, not transferred. */
inline call_back() {
  wait_ = 0;
  if
  :: e_exclusive ->
     NEXT_STAMP;
     t_stamp = last_stamp;
     message(RECALL, t.id, t_stamp, 0, t.from, 0, 0);
     send(e_owner);
     phase = AWAIT_RECALL; waiting = BIT(e_owner); wait_ = 1
  :: else
  fi
}

/* Home::InvTargets(), Home::Invalidate(): sets wait_. */
inline invalidate() {
  wait_ = 0;
  if
  :: invalidated
  :: else ->
     invalidated = 1;
     targets = 0; keeps = 0; demotes = 0;
     if
     :: t.want == REPAIR ->
        for (j : 0 .. NODES - 1) {
          if
          :: HAS(leftover, j) && !HAS(e_backups, j) && !(j == home && HOME_HAS_VALUE) ->
             targets = targets | BIT(j)
          :: else
          fi
        }
        targets = targets | e_dropping
     :: else ->
        e_unsure = 0;                        /* they are told now */
        backer(t.from);
        for (j : 0 .. NODES - 1) {
          if
          :: HAS(e_backups, j) && j != t.from ->
             if
             :: bk != j ->
#ifndef MUTATE_BACKUP_NOT_DEMOTED
                demotes = demotes | BIT(j)
#else
                skip
#endif
             :: bk == j && HAS(e_sharers, j) -> keeps = keeps | BIT(j)
             :: else
             fi
          :: else
          fi
        }
        if
        :: home != t.from && HAS(e_sharers, home) -> keeps = keeps | BIT(home)
        :: else
        fi;
        targets = keeps | demotes | ((e_sharers | e_dropping) & (7 - BIT(t.from)))
     fi;
     if
     :: targets != 0 ->
        NEXT_STAMP;
        t_stamp = last_stamp;
        for (j : 0 .. NODES - 1) {
          if
          :: HAS(targets, j) ->
             if
             :: HAS(demotes, j) -> e_demoted = 1; send_inv(j, DEMOTE)
             :: HAS(keeps, j) -> send_inv(j, KEEP)
             :: else -> send_inv(j, DROP)
             fi
          :: else
          fi
        }
#ifndef MUTATE_GRANT_BEFORE_ACKS
        phase = AWAIT_INV; waiting = targets; wait_ = 1
#else
        all_invalidated()
#endif
     :: else
     fi
  fi
}

/* Home::AllInvalidated() */
inline all_invalidated() {
  if
  :: t.want != REPAIR -> e_sharers = (t.from != NONE -> e_sharers & BIT(t.from) : 0)
  :: else
  fi;
  e_dropping = (t.want == WRITE && t.from != NONE -> e_dropping & BIT(t.from) : 0);
  phase = START; waiting = 0
}

/* Home::Grant() */
inline grant(right) {
  NEXT_STAMP;
#ifndef MUTATE_UPGRADE_WITHOUT_LOOKING
  yes = t.version == e_version && !HAS(e_dropping, t.from) &&
        (t.from == home || HAS(e_backups, t.from) || HAS(e_sharers, t.from));
#else
  yes = t.version != 0;
#endif
  assert(yes || HOME_HAS_VALUE);
  e_dropping = e_dropping & (7 - BIT(t.from));
  if
  :: right == SHARED -> e_sharers = e_sharers | BIT(t.from)
  :: else
  fi;
  message(REPLY, t.id, last_stamp, e_version, NONE, right, !yes);
  send(t.from)
}

/* Home::Answer() to a put. */
inline answer_put(right) {
  NEXT_STAMP;
  message(REPLY, t.id, last_stamp, e_version, NONE, right, 0);
  send(t.from);
  finish()
}

/* Holder::KeepForHome() */
inline keep_for_home(version_) {
  node[home].version = version_; node[home].grantee = NONE;
  if
  :: node[home].state == EXCLUSIVE -> node[home].state = INVALID
  :: else
  fi
}

/* Home::Commit() */
inline commit() {
  backer(t.from);
  unproven = 0;
  keep_for_home(t.version);
  e_version = t.version; e_exclusive = 0; e_owner = NONE;
  e_sharers = (MEMBER(t.from) -> BIT(t.from) : 0);
  set_backups();
  answer_put(SHARED)
}

/* Home::Reassure(): sets wait_. */
inline reassure() {
  wait_ = 0;
  if
  :: e_unsure ->
     targets = e_backups & (7 - assured);
     if
     :: targets == 0 -> e_unsure = 0
     :: else ->
        backer(e_owner);
        if
        :: t.want == PUT -> holding = holding & (7 - targets)
        :: else
        fi;
        NEXT_STAMP;
        t_stamp = last_stamp;
        for (j : 0 .. NODES - 1) {
          if
          :: HAS(targets, j) ->
             e_demoted = e_demoted || bk != j;
             message(BACKUP, 0, t_stamp, e_version, (bk == j -> NONE : e_owner), 0, HOME_HAS_VALUE);
             send(j)
          :: else
          fi
        }
        phase = AWAIT_ASSURED; waiting = targets; wait_ = 1
     fi
  :: else
  fi
}

/* Home::BackUpHeld(): sets wait_. */
inline back_up_held() {
  wait_ = 0;
  e_backups = e_backups | holding;
  if
  :: e_backups == 0 ->
     last = NONE;
     for (j : 0 .. NODES - 1) {
       if
       :: last == NONE && j != home && j != e_owner && MEMBER(j) -> last = j
       :: else
       fi
     }
     if
     :: last != NONE ->
        backer(e_owner);
        e_demoted = e_demoted || bk != last;
        send_backup(last, e_version, (bk == last -> NONE : e_owner));
        phase = AWAIT_BACKUP; waiting = BIT(last); wait_ = 1
     :: else
     fi
  :: else
  fi
}

inline advance_read() {
  put_first();
  wait_ = yes;
  if :: !wait_ -> call_back() :: else fi;
  if :: !wait_ -> pull_value() :: else fi;
  if
  :: !wait_ && e_demoted -> back_up(NONE, e_version)
  :: else
  fi;
  if
  :: !wait_ -> grant(SHARED); finish()
  :: else
  fi
}

inline advance_write() {
  put_first();
  wait_ = yes;
  if :: !wait_ -> call_back() :: else fi;
  if :: !wait_ -> pull_value() :: else fi;
  repair_is_queued();
  if                                         /* Home::Recommit() */
  :: !wait_ && e_demoted && !invalidated && (t.from == home || yes) -> back_up(NONE, e_version)
  :: else
  fi;
  if :: !wait_ -> invalidate() :: else fi;
  if
  :: !wait_ ->
     grant(EXCLUSIVE);
     e_exclusive = 1; e_owner = t.from; e_backups = e_backups & (7 - BIT(t.from));
     finish()
  :: else
  fi
}

inline advance_put() {
  if
  :: !e_exclusive || e_owner != t.from ->    /* asked again, and committed before */
     if
     :: !e_exclusive && e_version == t.version ->
        e_sharers = e_sharers | BIT(t.from);
        answer_put(SHARED)
     :: else -> answer_put(INVALID)
     fi
  :: else ->
     reassure();
     if :: !wait_ -> back_up(t.from, t.version) :: else fi;
     if :: !wait_ -> commit() :: else fi
  fi
}

inline advance_repair() {
  if
  :: unproven ->
     invalidate();
     if
     :: !wait_ ->                            /* Home::AwaitOwnerPut() */
        leftover = 0;
        put_first();
        if
        :: !yes -> phase = AWAIT_OWNER_PUT; waiting = BIT(e_owner)
        :: else
        fi
     :: else
     fi
  :: else ->
     pull_value();
     if
     :: !wait_ && !(e_exclusive && e_owner == home) && HOME_HAS_VALUE -> keep_for_home(e_version)
     :: else
     fi;
     if
     :: !wait_ && !e_exclusive -> back_up(NONE, e_version)
     :: !wait_ && e_exclusive && HOME_HAS_VALUE ->
        reassure();
        if :: !wait_ -> back_up_held() :: else fi
     :: else
     fi;
     if :: !wait_ -> invalidate() :: else fi;
     if :: !wait_ -> leftover = 0; finish() :: else fi
  fi
}

/* Home::Serve() */
inline serve_all() {
  do
  :: phase != START -> break
  :: else ->
     if
     :: t.want == NOTHING && queued == 0 -> unproven = 0; t_stamp = 0; break
     :: t.want == NOTHING && queued > 0 ->
        begin(queue[0].want, queue[0].from, queue[0].id, queue[0].version);
        erase_queued(0)
     :: else
     fi;
     if
     :: !MEMBER(t.from) && (t.want == READ || t.want == WRITE) ->
        if
        :: invalidated -> queue_repair()
        :: else
        fi;
        finish()
     :: else ->
        if
        :: t.want == READ -> advance_read()
        :: t.want == WRITE -> advance_write()
        :: t.want == PUT -> advance_put()
        :: t.want == REPAIR -> advance_repair()
        fi
     fi
  od
}

#define AWAITED(p) (phase == p && t_stamp == m.stamp && HAS(waiting, src))

/* Home::OnRequest(), AwaitsPutOf() */
inline on_request() {
  if
  :: m.kind == PUT ->
#ifndef MUTATE_PUT_ANSWERS_NO_RECALL
     yes = (phase == AWAIT_RECALL || phase == AWAIT_OWNER_PUT) && e_owner == src;
#ifndef MUTATE_INVALIDATED_PUT_WAITS
     yes = yes || (phase == AWAIT_INV && t.want == WRITE && HAS(waiting, src));
#endif
#else
     yes = 0;
#endif
     if
     :: yes -> phase = START; waiting = 0
     :: else
     fi;
     enqueue_first(PUT, src, m.request, m.version)
  :: else ->
     assert(queued < 5);
     queue[queued].want = m.kind; queue[queued].from = src;
     queue[queued].id = m.request; queue[queued].version = m.version;
     queued++
  fi;
  serve = 1
}

/* Home::OnInvAck() */
inline on_inv_ack() {
  if
  :: AWAITED(AWAIT_INV) ->
     yes = m.request == 0 || (t.from == src && t.id == m.request);
     for (i : 0 .. 4) {
       if
       :: i < queued && queue[i].from == src && queue[i].id == m.request -> yes = 1
       :: else
       fi
     }
     if
     :: yes ->
        waiting = waiting & (7 - BIT(src));
        if
        :: waiting == 0 -> all_invalidated(); serve = 1
        :: else
        fi
     :: else
     fi
  :: else -> e_dropping = e_dropping & (7 - BIT(src))
  fi
}

/* Home::OnRecallAck() */
inline on_recall_ack() {
  if
  :: AWAITED(AWAIT_RECALL) ->
     e_exclusive = 0; e_owner = NONE;
#ifndef MUTATE_LENDER_FORGOTTEN
     e_sharers = e_sharers | BIT(src);
#endif
     if
     :: src != home -> e_backups = e_backups | BIT(src)
     :: else
     fi;
     phase = START; waiting = 0; serve = 1
  :: else
  fi
}

/* Home::OnBackupAck() */
inline on_backup_ack() {
  if
  :: AWAITED(AWAIT_BACKUP) || AWAITED(AWAIT_ASSURED) ->
#ifndef MUTATE_REPLACED_COPY_DROPPED
     e_dropping = e_dropping & (7 - BIT(src));
#endif
     if
     :: phase == AWAIT_BACKUP -> holding = holding | BIT(src)
     :: else -> assured = assured | BIT(src)
     fi;
     waiting = waiting & (7 - BIT(src));
     if
     :: waiting == 0 -> phase = START; serve = 1
     :: else
     fi
  :: else
  fi
}

/* Home::OnPulled() */
inline on_pulled() {
  if
  :: AWAITED(AWAIT_PULL) ->
     if
     :: m.flag -> keep_for_home(m.version); unable = 0
     :: else
     fi;
     phase = START; waiting = 0; serve = 1
  :: else
  fi
}

/* ---- The change of the view ------------------------------------------------------------------- */

/* Home::Survive(), Home::SurviveTransaction(): `src` has died. */
inline survive() {
  yes = (e_backups & (7 - BIT(src))) == 0 && !(e_exclusive && e_owner != home);
  yes = yes || HAS(e_backups, src);
  e_backups = e_backups & (7 - BIT(src));
  if
  :: (e_exclusive || (invalidated && t.want == WRITE)) && yes && e_backups != 0 -> e_unsure = 1
  :: else
  fi;
  e_dropping = e_dropping & (7 - BIT(src));
  e_sharers = e_sharers & (7 - BIT(src));
  bk = (e_exclusive && e_owner == src -> src : NONE);
  if
  :: bk != NONE && t.want == PUT && t.from == src ->     /* committing */
     e_owner = NONE; bk = NONE
  :: bk != NONE && !(t.want == PUT && t.from == src) ->
     yes = 1;
     e_exclusive = 0; e_owner = NONE;
     e_demoted = e_backups != 0
  :: else
  fi;
  yes = yes || (e_demoted && !e_exclusive);
  demotes = bk;
  keeps = t.want != NOTHING || queued > 0;   /* busy */
  if
  :: yes -> queue_repair()
  :: else
  fi;
  if
  :: t.want != NOTHING && t.from == src -> t.from = NONE
  :: else
  fi;
  j = 0;
  do
  :: j < queued ->
     if
     :: queue[j].from == src -> erase_queued(j)
     :: else -> j++
     fi
  :: else -> break
  od;
#ifndef MUTATE_DEAD_AWAITED
  waiting = waiting & (7 - BIT(src));
#endif
  leftover = leftover & (7 - BIT(src));
  holding = holding & (7 - BIT(src)); assured = 0;
  if
  :: phase == AWAIT_RECALL && demotes != NONE -> phase = START; waiting = 0
  :: phase == AWAIT_INV && waiting == 0 -> all_invalidated()
  :: (phase == AWAIT_OWNER_PUT || phase == AWAIT_BACKUP || phase == AWAIT_ASSURED || phase == AWAIT_PULL) &&
     waiting == 0 -> phase = START
  :: else
  fi;
  serve = 1
}

/* A report of Holder::OnHomesChanged(), and Home::LeaveBuckets() of a home that is no more. */
inline report_to_new_home() {
  if
  :: node[me].version != 0 ->
     if
     :: node[me].state == EXCLUSIVE -> m.word = (PUTTING(me) -> AS_PUTTING : AS_EXCLUSIVE)
     :: node[me].state == SHARED -> m.word = AS_SHARED
     :: else -> m.word = (node[me].grantee != NONE -> AS_DEMOTED : AS_BACKUP)
     fi;
     message(REPORT, 0, node[me].stamp, node[me].version, node[me].grantee, m.word,
             (node[me].grantee != NONE -> node[node[me].grantee].alive : 0))
  :: else -> message(REPORT, 0, 0, 0, NONE, 0, 0)
  fi;
  send(1);
  no_demand();
#ifndef MUTATE_NOT_ASKED_AGAIN
  if
  :: node[me].pending != NOTHING -> send_request()
  :: else
  fi;
#endif
  pump()
}

/* Home::TakeBuckets() */
inline take_bucket() {
  home = 1; rebuilding = 1; unreported = BIT(1) | BIT(2);
  e_version = 0; e_exclusive = 0; e_owner = NONE; e_demoted = 0; e_unsure = 0;
  e_backups = 0; e_sharers = 0; e_dropping = 0; finish(); waiting = 0; leftover = 0; unproven = 0;
  t_stamp = 0; last_stamp = 100;             /* the epoch counts first */
  do
  :: queued > 0 -> erase_queued(0)
  :: else -> break
  od
}

/* Home::OnReport(), Rebuild(), Home::Adopt() */
inline on_report() {
  unreported = unreported & (7 - BIT(src));
  report[src].role = m.word; report[src].version = m.version; report[src].grantee = m.peer;
  report[src].demoted = m.stamp; report[src].lives = m.flag;
  if
  :: unreported == 0 -> rebuild()
  :: else
  fi
}

inline rebuild() {
  rebuilding = 0;
  bk = NONE;                                 /* who is putting */
  for (i : 0 .. NODES - 1) {
    e_version = MAX(e_version, report[i].version);
    if
    :: report[i].role == AS_EXCLUSIVE -> e_owner = i
    :: report[i].role == AS_PUTTING && (bk == NONE || report[i].version > report[bk].version) -> bk = i
    :: else
    fi
  }
  last = NONE;                               /* the writer of the current value */
  if
  :: e_owner == NONE && bk != NONE && report[bk].version == e_version ->
     e_owner = bk;
     unproven = 1;
     for (i : 0 .. NODES - 1) {
       if
       :: report[i].role == AS_BACKUP && report[i].version == e_version -> unproven = 0
       :: else
       fi
     }
  :: e_owner == NONE && bk != NONE && report[bk].version + 1 == e_version -> last = bk
  :: else
  fi;
  if
  :: e_owner != NONE -> e_version = report[e_owner].version; e_exclusive = 1
  :: else
  fi;
  yes = e_owner != NONE || last != NONE;     /* vouched */
  j = NONE;                                  /* demoted last */
  for (i : 0 .. NODES - 1) {
    if
    :: report[i].role != 0 && i != e_owner && report[i].role != AS_PUTTING ->
       if
       :: report[i].version != e_version -> leftover = leftover | BIT(i)
       :: report[i].version == e_version && report[i].role == AS_SHARED ->
          e_sharers = e_sharers | BIT(i); yes = 1
       :: else ->
          if
          :: i != home -> e_backups = e_backups | BIT(i)
          :: else
          fi;
          yes = yes || report[i].role == AS_BACKUP;
          if
          :: report[i].role == AS_DEMOTED && (j == NONE || report[i].demoted > report[j].demoted) -> j = i
          :: else
          fi
       fi
    :: else
    fi
  }
#ifndef MUTATE_GRANT_NEVER_LOST
  yes = yes || (j != NONE && report[j].lives);
#endif
  assert(yes);                               /* else it is lost */
  if
  :: last != NONE -> e_sharers = e_sharers | BIT(last)
  :: else
  fi;
  e_demoted = e_backups != 0;
  e_unsure = e_backups != 0 && !unproven;
  for (i : 0 .. NODES - 1) {
    report[i].role = 0; report[i].version = 0; report[i].grantee = 0; report[i].demoted = 0;
    report[i].lives = 0
  }
  queue_repair();
  serve = 1
}

/* ---- Events ----------------------------------------------------------------------------------- */

inline handle() {
  if
  :: m.kind == REPLY -> on_reply()
  :: m.kind == INV -> on_inv()
  :: m.kind == RECALL -> on_recall()
  :: m.kind == BACKUP -> on_backup()
  :: m.kind == PULL -> on_pull()
  :: m.kind == REPORT -> on_report()
  :: else ->
     assert(me == home || node[me].late);
     if
     :: rebuilding ->
        assert(earlies < 5);
        early[earlies].kind = m.kind; early[earlies].request = m.request; early[earlies].stamp = m.stamp;
        early[earlies].version = m.version; early[earlies].flag = m.flag; early_from[earlies] = src;
        earlies++
     :: else ->
        if
        :: m.kind == READ || m.kind == WRITE || m.kind == PUT -> on_request()
        :: m.kind == INV_ACK -> on_inv_ack()
        :: m.kind == RECALL_ACK -> on_recall_ack()
        :: m.kind == BACKUP_ACK -> on_backup_ack()
        :: m.kind == PULLED -> on_pulled()
        fi
     fi
  fi
}

#define MOVED (node[me].late && !node[0].alive)
#ifndef MUTATE_OLD_EPOCH_OBEYED
#define COUNTS (node[src].alive || !node[me].late) && (!MOVED || m.late)
#else
#define COUNTS true
#endif

#define CAN_BEGIN(n) operations < OPERATIONS && node[n].alive && node[n].op == NOTHING && !node[n].writer && \
  !PUTTING(n)

init {
  atomic {
    for (i : 0 .. NODES - 1) {
      node[i].alive = 1; node[i].state = INVALID; node[i].grantee = NONE; node[i].peer = NONE
    }
    for (i : 0 .. 4) { queue[i].from = NONE }
    t.from = NONE; e_owner = NONE;
    node[0].version = 1; node[1].version = 1; e_version = 1; e_backups = BIT(1); last_stamp = 1;
    i = 0; j = 0
  }
  do
  :: atomic {
       if
       :: CAN_BEGIN(0) -> me = 0; goto operation
       :: CAN_BEGIN(1) -> me = 1; goto operation
       :: CAN_BEGIN(2) -> me = 2;
operation:
          operations++;
          if
          :: node[me].op = READ
          :: node[me].op = WRITE
          fi;
          pump()
       :: node[0].alive && node[0].writer -> me = 0; goto write
       :: node[1].alive && node[1].writer -> me = 1; goto write
       :: node[2].alive && node[2].writer -> me = 2;
write:    node[me].writer = 0;
          if
          :: node[me].put_version = node[me].version + 1;      /* Holder::Commit() */
             node[me].next_request++;
             node[me].pending = PUT; node[me].request = node[me].next_request;
             send_request()
          :: skip                            /* Holder::Release(), ExpireHolds() */
          fi;
          pump()
#define ARRIVES(from, to, lane) \
       :: node[to].alive && nempty(pipe[PIPE(from, to, lane)]) && \
          (node[to].late || !pipe[PIPE(from, to, lane)]?[_, _, _, _, _, _, _, 1]) -> \
          pipe[PIPE(from, to, lane)]?FIELDS(m); me = to; src = from
       ARRIVES(0, 1, 0); goto arrived
       ARRIVES(0, 2, 0); goto arrived
       ARRIVES(1, 0, 0); goto arrived
       ARRIVES(1, 2, 0); goto arrived
       ARRIVES(2, 0, 0); goto arrived
       ARRIVES(2, 1, 0); goto arrived
       ARRIVES(0, 1, 1); goto arrived
       ARRIVES(0, 2, 1); goto arrived
       ARRIVES(1, 0, 1); goto arrived
       ARRIVES(1, 2, 1); goto arrived
       ARRIVES(2, 0, 1); goto arrived
       ARRIVES(2, 1, 1);
arrived:  if
          :: COUNTS -> handle()
          :: else
          fi
       :: crashes < CRASHES ->
          crashes++;
          select(i : 0 .. NODES - 1);
          node[i].alive = 0; node[i].state = INVALID; node[i].version = 0; node[i].op = NOTHING;
          node[i].writer = 0; node[i].tenure = 0; node[i].pending = NOTHING; node[i].request = 0;
          node[i].next_request = 0; node[i].put_version = 0; node[i].stamp = 0; node[i].grantee = NONE;
          me = i; no_demand();
          for (j : 0 .. NODES - 1) {
            do
            :: pipe[PIPE(j, me, 0)]?FIELDS(m)
            :: empty(pipe[PIPE(j, me, 0)]) -> break
            od;
            do
            :: pipe[PIPE(j, me, 1)]?FIELDS(m)
            :: empty(pipe[PIPE(j, me, 1)]) -> break
            od
          }
       :: crashes > 0 && node[0].alive && !node[0].late -> me = 0; goto view
       :: crashes > 0 && node[1].alive && !node[1].late -> me = 1; goto view
       :: crashes > 0 && node[2].alive && !node[2].late -> me = 2;
view:     node[me].late = 1;                 /* Engine::InstallView() */
          src = (!node[0].alive -> 0 : (!node[1].alive -> 1 : 2));
          if
          :: src == 0 ->
             if
             :: me == 1 -> take_bucket()
             :: else
             fi;
             report_to_new_home()
          :: src != 0 && me == home -> survive()
          :: else
          fi
       :: timeout -> break
       fi;
       /* Engine::Settle() */
       do
       :: serve -> serve = 0; me = home; serve_all()
       :: !serve && !rebuilding && earlies > 0 ->
          src = early_from[0];
          m.kind = early[0].kind; m.request = early[0].request; m.stamp = early[0].stamp;
          m.version = early[0].version; m.flag = early[0].flag;
          for (i : 0 .. 3) {
            early[i].kind = early[i + 1].kind; early[i].request = early[i + 1].request;
            early[i].stamp = early[i + 1].stamp; early[i].version = early[i + 1].version;
            early[i].flag = early[i + 1].flag; early_from[i] = early_from[i + 1]
          }
          early[4].kind = 0; early[4].request = 0; early[4].stamp = 0; early[4].version = 0;
          early[4].flag = 0; early_from[4] = 0;
          earlies--;
          handle()
       :: !serve && (rebuilding || earlies == 0) && nempty(loopback) ->
          loopback?FIELDS(m);
          src = me;
          handle()
       :: !serve && (rebuilding || earlies == 0) && empty(loopback) -> break
       od
     }
  od;
  atomic {                                   /* Nothing more can happen. */
    last = 0;
    for (i : 0 .. NODES - 1) {
      if
      :: node[i].alive ->
         assert(node[i].op == NOTHING && node[i].pending == NOTHING && !node[i].writer);
         assert(node[i].demand == NOTHING);
         assert(node[i].state == INVALID || node[i].version == e_version);
         last = last + (node[i].version == e_version)
      :: else
      fi
    }
    assert(e_version >= seen && phase == START && queued == 0 && !(e_exclusive && e_unsure));
    assert(last >= 2)
  }
}
