/* The faults.
 *
 *   FAULT("name", STAGE, function, FRAMING, status, code, at, count, "value", "help")
 *
 * FRAMING: CHUNKED (with its final chunk), LENGTH (Content-Length) or CLOSE (neither: the end of
 * the connection ends the body). A test may give its own framing, status, code, at, count, value.
 */

/* --- another answer */
FAULT("400", REPLY, strike_status, CHUNKED, 400, 1905, 0, 0, "simulated: bad value", "")
FAULT("401", REPLY, strike_status, CHUNKED, 401, 0, 0, 0, "JWT expired (simulated)", "")
FAULT("403", REPLY, strike_status, CHUNKED, 403, 0, 0, 0, "simulated: no permission", "")
FAULT("404", REPLY, strike_status, CHUNKED, 404, 0, 0, 0, "simulated: not found", "")
FAULT("409", REPLY, strike_status, CHUNKED, 409, 1965, 0, 0, "simulated: too many calls",
    "toWait and retryAfter set the headers")
FAULT("409_registration", REPLY, strike_status, CHUNKED, 409, 2003, 0, 0,
    "simulated: registration incomplete", "not a limit")
FAULT("410", REPLY, strike_status, CHUNKED, 410, 0, 0, 0, "simulated: gone", "")
FAULT("429", REPLY, strike_status, CHUNKED, 429, 1965, 0, 0, "simulated: too many calls",
    "toWait and retryAfter set the headers")
FAULT("500", REPLY, strike_status, CHUNKED, 500, 0, 0, 0, "simulated: internal error", "")
FAULT("501", REPLY, strike_status, CHUNKED, 501, 0, 0, 0, "simulated: not implemented", "")
FAULT("502", REPLY, strike_status, CHUNKED, 502, 0, 0, 0, "simulated: bad gateway", "")
FAULT("503", REPLY, strike_status, CHUNKED, 503, 0, 0, 0, "simulated: maintenance", "")
FAULT("504", REPLY, strike_status, CHUNKED, 504, 0, 0, 0, "simulated: timeout", "")
FAULT("status", REPLY, strike_status, CHUNKED, 520, 0, 0, 0, "simulated", "any status")
FAULT("204", REPLY, strike_no_content, CHUNKED, 204, 0, 0, 0, "", "no body at all")
FAULT("empty", REPLY, strike_body, CHUNKED, 200, 0, 0, 0, "", "200 with a body of no bytes")
FAULT("html", REPLY, strike_body, CHUNKED, 200, 0, 0, 0,
    "<!DOCTYPE html><html><body><form action=\"/login\">Sign in</form></body></html>",
    "a page with status 200")
FAULT("object", REPLY, strike_body, CHUNKED, 200, 0, 0, 0, "{\"records\":[]}",
    "an object in place of the array")
FAULT("error_200", REPLY, strike_body, CHUNKED, 200, 0, 0, 0, "{\"error\":\"simulated\"}",
    "an error with status 200")
FAULT("body", REPLY, strike_body, CHUNKED, 200, 0, 0, 0, "[]", "value as the body")
FAULT("redirect", REPLY, strike_redirect, CHUNKED, 302, 0, 0, 0, "http://127.0.0.1:1/elsewhere",
    "value is the Location")
FAULT("login_200", REPLY, strike_body, CHUNKED, 200, 0, 0, 0, "{\"token\":\"in JSON\"}",
    "for auth: not a bare token")
FAULT("login_garbage", REPLY, strike_body, CHUNKED, 201, 0, 0, 0,
    "not\ta \001token\r\nX-Injected: yes", "for auth: bytes no header may hold")
FAULT("login_empty", REPLY, strike_body, CHUNKED, 201, 0, 0, 0, "", "for auth: no token")
FAULT("login_huge", REPLY, strike_body, CHUNKED, 201, 0, 0, 1048576, "A",
    "for auth: value repeated up to count bytes")

/* --- the text */
FAULT("array_cut", JSON, strike_array_cut, CHUNKED, 200, 0, 0, 0, "",
    "no closing bracket; with at: cut there; everything around it ends cleanly")
FAULT("foreign_host", JSON, strike_number, CHUNKED, 200, 0, 0, 0,
    "\"hostId\":", "the first record is of a host that was not asked for")
FAULT("foreign_policy", JSON, strike_number, CHUNKED, 200, 0, 0, 0,
    "\"policyId\":", "likewise of a policy")
FAULT("foreign_posture", JSON, strike_number, CHUNKED, 200, 0, 0, 0,
    "{\"id\":", "likewise with an ID of its own")
FAULT("duplicate_record", JSON, strike_duplicate, CHUNKED, 200, 0, 0, 0, "",
    "the first record comes again at the end")
FAULT("lost_records", JSON, strike_lost, CHUNKED, 200, 0, 0, 1, "",
    "the last count records are not there")
FAULT("lost_batch", JSON, strike_lost_batch, CHUNKED, 200, 0, 0, 1, "",
    "the records of batch number count are not there; the others still announce it")
FAULT("white_space", JSON, strike_white_space, CHUNKED, 200, 0, 0, 0, "",
    "records apart by white space")
FAULT("byte_order_mark", JSON, strike_prefix, CHUNKED, 200, 0, 0, 0, "\357\273\277",
    "before the array")
FAULT("second_array", JSON, strike_suffix, CHUNKED, 200, 0, 0, 0, "[]", "behind the array")
FAULT("html_tail", JSON, strike_suffix, CHUNKED, 200, 0, 0, 0,
    "\n<html><body>Gateway error</body></html>", "behind the array")
FAULT("invalid_utf8", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\377\376",
    "in a string of the first record, as the next ones")
FAULT("overlong_utf8", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\300\257", "")
FAULT("surrogate_utf8", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\355\240\275", "")
FAULT("lone_surrogate", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\\ud83d", "")
FAULT("low_surrogate", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\\udc4d", "")
FAULT("raw_control", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\001", "")
FAULT("raw_nul", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\000", "")
FAULT("nul_escape", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\\u0000", "legal JSON")
FAULT("bad_escape", JSON, strike_in_string, CHUNKED, 200, 0, 0, 0, "\\x41", "")
FAULT("nan", JSON, strike_member, CHUNKED, 200, 0, 0, 0, "NaN",
    "a member of the first record, as the next ones")
FAULT("infinity", JSON, strike_member, CHUNKED, 200, 0, 0, 0, "-Infinity", "")
FAULT("leading_zero", JSON, strike_member, CHUNKED, 200, 0, 0, 0, "01", "")
FAULT("bare_exponent", JSON, strike_member, CHUNKED, 200, 0, 0, 0, "1e", "")
FAULT("plus_sign", JSON, strike_member, CHUNKED, 200, 0, 0, 0, "+1", "")
FAULT("large_numbers", JSON, strike_member, CHUNKED, 200, 0, 0, 0,
    "[18446744073709551616,1e400,0.123456789012345678901234567890]", "legal JSON")
FAULT(
    "member", JSON, strike_member, CHUNKED, 200, 0, 0, 0, "null", "value as the value of a member")
FAULT("deep_nesting", JSON, strike_nesting, CHUNKED, 200, 0, 0, 10000, "", "count levels")
FAULT("huge_record", JSON, strike_long_string, CHUNKED, 200, 0, 0, 16777216, "",
    "a string of count bytes")
FAULT("duplicate_member", JSON, strike_insert, CHUNKED, 200, 0, 0, 0, ",\"instance\":\"again\"",
    "a name twice in the first record")
FAULT("no_id", JSON, strike_id, CHUNKED, 200, 0, 0, 0, "", "the first record has no id")
FAULT("posture_id", JSON, strike_id, CHUNKED, 200, 0, 0, 0,
    "\"postureId\":", "the first record calls it postureId")
FAULT("odd_status", JSON, strike_status_word, CHUNKED, 200, 0, 0, 0, "Deferred",
    "the first record has value for its status")

/* --- the bytes */
FAULT("gzip_cut", GZIP, strike_cut, CLOSE, 200, 0, 0.5, 0, "",
    "ends at `at`, cleanly as far as HTTP knows")
FAULT("gzip_no_trailer", GZIP, strike_shorten, CHUNKED, 200, 0, 0, 8, "",
    "without the last count bytes")
FAULT("gzip_half_trailer", GZIP, strike_shorten, CHUNKED, 200, 0, 0, 4, "", "likewise")
FAULT("gzip_bad_crc", GZIP, strike_flip_end, CHUNKED, 200, 0, 0, 8, "",
    "a bit is wrong, count bytes before the end")
FAULT("gzip_bad_size", GZIP, strike_flip_end, CHUNKED, 200, 0, 0, 4, "", "likewise")
FAULT("gzip_bit_flip", GZIP, strike_flip, CHUNKED, 200, 0, 0.5, 0, "", "a bit is wrong at `at`")
FAULT("gzip_garbage_tail", GZIP, strike_tail, CHUNKED, 200, 0, 0, 64, "X",
    "count bytes of value behind the member")
FAULT("gzip_zero_tail", GZIP, strike_tail, CHUNKED, 200, 0, 0, 4096, "\000", "likewise, of zeros")
FAULT("gzip_members", GZIP, strike_members, CHUNKED, 200, 0, 0, 2, "", "in count members")
FAULT("gzip_many_members", GZIP, strike_members, CHUNKED, 200, 0, 0, 1000, "", "likewise")
FAULT("gzip_empty_members", GZIP, strike_empty_members, CHUNKED, 200, 0, 0, 0, "",
    "between members of no bytes")
FAULT("gzip_double", GZIP, strike_again, CHUNKED, 200, 0, 0, 0, "", "compressed twice")
FAULT("gzip_labelled", GZIP, strike_label, CHUNKED, 200, 0, 0, 0, "gzip",
    "with Content-Encoding: value")
FAULT("wrong_label", GZIP, strike_label, CHUNKED, 200, 0, 0, 0, "br",
    "gzip bytes that claim to be something else")
FAULT("plain_labelled", BYTES, strike_plain_label, CHUNKED, 200, 0, 0, 0, "gzip",
    "plain JSON with Content-Encoding: value")
FAULT("deflate", BYTES, strike_deflate, CHUNKED, 200, 0, 0, 0, "deflate",
    "really deflate, and labelled so")
FAULT("bomb", GZIP, strike_bomb, CHUNKED, 200, 0, 0, 1073741824, "",
    "one record that inflates to about count bytes")
FAULT("body_cut", BYTES, strike_cut, CHUNKED, 200, 0, 0.5, 0, "",
    "ends at `at`, cleanly as far as HTTP knows")

/* --- the way they are sent */
FAULT("length_long", WIRE, strike_length, LENGTH, 200, 0, 0, 100, "",
    "Content-Length says count bytes more than come")
FAULT("length_short", WIRE, strike_length, LENGTH, 200, 0, 0, -10, "", "Content-Length says fewer")
FAULT("no_final_chunk", WIRE, strike_no_final_chunk, CHUNKED, 200, 0, 0, 0, "",
    "the connection ends where the final chunk should be")
FAULT("bad_chunk", WIRE, strike_bad_chunk, CHUNKED, 200, 0, 0.5, 0, "",
    "a chunk whose size is no number")
FAULT("close", WIRE, strike_close, CHUNKED, 200, 0, 0.5, 0, "", "the connection ends at `at`")
FAULT("reset", WIRE, strike_reset, CHUNKED, 200, 0, 0.5, 0, "", "TCP reset at `at`")
FAULT("reset_start", WIRE, strike_reset_start, CHUNKED, 200, 0, 0, 0, "",
    "TCP reset before the first byte")
FAULT("no_answer", WIRE, strike_no_answer, CHUNKED, 200, 0, 0, 0, "",
    "the connection ends before the first byte")
FAULT("not_http", WIRE, strike_no_answer, CHUNKED, 200, 0, 0, 0, "SSH-2.0-simulated\r\n",
    "value, and no more")
FAULT("stall_head", WIRE, strike_stall_head, CHUNKED, 200, 0, 0, 0, "",
    "nothing comes until POST /release")
FAULT("stall", WIRE, strike_stall, CHUNKED, 200, 0, 0.5, 0, "",
    "nothing comes after `at` until POST /release")
FAULT("drip", WIRE, strike_drip, CHUNKED, 200, 0, 0, 100, "", "count bytes a second")
FAULT("huge_header", WIRE, strike_header, CHUNKED, 200, 0, 0, 10485760, "1",
    "value headers of count bytes in all")
FAULT("many_headers", WIRE, strike_header, CHUNKED, 200, 0, 0, 400000, "10000", "likewise")
