/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tests of the C API: functions in C, which GoogleTest runs one by one under these names.
 */
#ifndef CLUSTIX_TESTS_UNIT_NODE_C_CASES_H_
#define CLUSTIX_TESTS_UNIT_NODE_C_CASES_H_

#define C_CALL_CASES(X)                                            \
  X(A_sync_call_brings_the_answer)                                 \
  X(A_large_payload_goes_both_ways_on_the_bulk_lane)               \
  X(An_async_call_runs_its_callback_once)                          \
  X(A_queue_tells_of_a_thousand_calls_by_their_tags)               \
  X(A_queue_harvests_as_many_as_there_is_room_for)                 \
  X(A_queue_that_is_closed_forgets_its_calls)                      \
  X(A_new_queue_knows_nothing_of_the_calls_of_one_that_was_closed) \
  X(A_cancelled_call_stays_silent)                                 \
  X(A_deadline_ends_a_call)                                        \
  X(The_status_of_a_handler_reaches_the_caller)                    \
  X(A_port_without_handler_says_so)                                \
  X(A_call_may_be_answered_later)                                  \
  X(One_way_messages_arrive_in_order_on_each_lane)                 \
  X(Large_payloads_are_sent_in_place)                              \
  X(Unknown_peers_and_large_payloads_are_refused)                  \
  X(A_full_queue_is_busy_and_later_writable)                       \
  X(The_end_and_the_return_of_a_peer_are_told)                     \
  X(Closing_ends_what_is_pending)

#define C_MISUSE_CASES(X)                      \
  X(Options_are_refused_with_their_name)       \
  X(An_address_in_use_is_refused)              \
  X(Arguments_are_refused_with_their_name)     \
  X(Queues_refuse_what_they_cannot_do)         \
  X(A_callback_cannot_turn_or_end_its_node)    \
  X(Another_thread_cannot_use_a_node)          \
  X(Another_thread_may_post_and_stop)          \
  X(A_stop_that_comes_first_ends_the_next_run) \
  X(Structures_may_grow_by_zeros_alone)        \
  X(Uuids_and_keys_are_read)                   \
  X(Every_result_has_a_name)                   \
  X(The_log_goes_where_it_is_sent)

#ifdef __cplusplus
extern "C" {
#endif
#define DECLARE_CASE(name) void name(void);
C_CALL_CASES(DECLARE_CASE)
C_MISUSE_CASES(DECLARE_CASE)
#undef DECLARE_CASE
#ifdef __cplusplus
}
#endif

#endif /* CLUSTIX_TESTS_UNIT_NODE_C_CASES_H_ */
