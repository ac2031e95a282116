/* clang-format off */
/* THE WAY OF A FETCH. One line a step, in order; fetch_steps.c has one fetch_step_<name>() each,
 * and fetch.c runs them.
 *
 *     resolve hosts → plan calls → pull (each call: budget → transport → inflate → split
 *       → normalise → fragment → store) → seal → publish → wake
 *
 * A step that makes upstream calls submits them to the budget and is over when the last of them
 * has ended; the thread that ends the last call goes on with the next step. Whatever fails goes
 * straight to wake, which always runs: it tells everyone who waits.
 *
 * The policy list and the hosts of a policy go the same way: there is nothing to resolve, and their
 * one call is planned and pulled like those of postures.
 *
 *     FETCH_STEP(name, makes calls, what it does)
 */
FETCH_STEP(
    resolve, true, "ask which hosts the policies have (or, by posture, which subscription this is)")
FETCH_STEP(plan, false, "cut policies and hosts into calls of a bounded size; a list is one call")
FETCH_STEP(pull, true, "make every call; a failed one is repeated whole, as a new attempt")
FETCH_STEP(seal, false, "judge the sum: hosts asked and seen, batches, in-band errors")
FETCH_STEP(publish, false, "make the result visible in one commit; the old one stays until then")
