package nsedge

// Codes of notices and refusals: stable identifiers that programs may branch
// on. The list is closed; docs/nsedge.md explains each one.
const (
	// Joins.
	CodeJoinMIC           = "join_mic_failed"          // error: the AppKey is not the device's, or the frame is forged
	CodeJoinReplay        = "join_devnonce_used"       // error: possible replay
	CodeJoinEUI           = "join_wrong_appeui"        // error
	CodeJoinNoAnswer      = "join_no_answer"           // error: the AS did not answer in time
	CodeJoinFailed        = "join_failed"              // error: inside the server, or no window could be used
	CodeJoinNotOTAA       = "join_not_otaa"            // error: an ABP device sends join-requests
	CodeJoinUnknown       = "join_unknown_device"      // warning: no such DevEUI is registered
	CodeJoinBlocked       = "join_blocked"             // warning: uplinks of the device are blocked
	CodeJoinDuplicate     = "join_duplicate"           // info: a copy of a join-request
	CodeJoinAccepted      = "join_accepted"            // info: the join-accept was on the air
	CodeJoinResponse      = "join_response_received"   // info
	CodeActivated         = "session_activated"        // info: the first uplink of a new session
	CodeRejoinUnsupported = "rejoin_unsupported"       // warning, or a refusal: the keys are at the application, or the session is one of 1.0
	CodeRejoinMIC         = "rejoin_mic_failed"        // error: no session or key of the device signed it
	CodeRejoinReplay      = "rejoin_counter_used"      // error: possible replay
	CodeUplinkMIC         = "uplink_mic_failed"        // error: counters out of step (recovery was tried) or wrong key
	CodeUplinkGap         = "uplink_counter_gap"       // error: skips too far for the strict policy
	CodeUplinkReplay      = "uplink_counter_replay"    // error: not greater than the last known
	CodeUplinkRepeated    = "uplink_counter_repeated"  // warning: the last frame again
	CodeUplinkRestarted   = "uplink_counter_restarted" // warning: an ABP device began again at 0
	CodeUplinkBlocked     = "uplink_blocked"           // warning
	CodeUplinkMACInvalid  = "uplink_mac_invalid"       // warning: MAC commands that can't be decoded
	CodeUplinkEmpty       = "uplink_empty"             // info: processed, without payload
	CodeUplinkProcessed   = "uplink_processed"         // info
	CodeUplinkDuplicate   = "uplink_duplicate"         // info: another copy
	CodeTooClose          = "device_too_close"         // warning: heard on two channels at once
	CodeOutsideBand       = "outside_band"             // warning: channel or data rate is not the region's

	// Downlinks.
	CodeDownlinkNoAnswer    = "downlink_no_answer"      // warning: no AS answered in time
	CodeDownlinkLate        = "downlink_late"           // error: says by how much, and who
	CodeDownlinkQueued      = "downlink_queued"         // info: late, kept for the next window
	CodeDownlinkReplaced    = "downlink_replaced"       // warning: a kept answer was dropped for a newer one
	CodeDownlinkReceived    = "downlink_received"       // info: obtained from the AS
	CodeDownlinkScheduled   = "downlink_scheduled"      // info
	CodeDownlinkBusy        = "downlink_channel_busy"   // error: listen before talk
	CodeDownlinkFailed      = "downlink_failed"         // error: the transmitter refused or failed
	CodeDownlinkEmpty       = "downlink_empty"          // warning: an empty payload is sent
	CodeDownlinkBlocked     = "downlink_blocked"        // warning, or a refusal
	CodeDownlinkNoKey       = "downlink_no_appskey"     // plaintext, but the edge has no AppSKey
	CodeDownlinkTooLong     = "downlink_too_long"       // names max_size
	CodeDownlinkPort        = "downlink_port"           // 1 to 224
	CodeDownlinkCounter     = "downlink_counter"        // counters only go up
	CodeDownlinkPayload     = "downlink_payload"        // neither or both kinds of payload
	CodeDownlinkMAC         = "downlink_mac"            // MAC commands of an application that can't be sent
	CodeDownlinkAnswered    = "downlink_answered"       // the window is used already
	CodeDownlinkUnknown     = "downlink_no_request"     // no such request is known
	CodeDownlinkAmbiguous   = "downlink_ambiguous"      // several requests are open
	CodeDownlinkDutyCycle   = "downlink_duty_cycle"     // says when it is free
	CodeDownlinkNoWindow    = "downlink_no_window"      // the region has no window for that uplink
	CodeDownlinkAcked       = "downlink_acknowledged"   // info: a confirmed downlink was acknowledged
	CodeDownlinkNotAcked    = "downlink_unacknowledged" // warning: it was not
	CodeMACAccepted         = "mac_accepted"            // info: the device obeyed a MAC command
	CodeMACRefused          = "mac_refused"             // warning: it did not; that is not asked again
	CodeMACNoAnswer         = "mac_no_answer"           // warning: it did not answer
	CodeClassBEntered       = "class_b_entered"         // info: the device listens in ping slots now; warning if it did not tell where they are
	CodeClassBLeft          = "class_b_left"            // info: it doesn't any more
	CodeStatusNoAnswer      = "status_no_answer"        // error: the device did not answer DevStatusReq
	CodeStatusDelivered     = "status_delivered"        // info
	CodeGatewayNotLive      = "gateway_not_live"        // refusal: a gateway was insisted on that is not there
	CodeDeviceUnknown       = "device_unknown"          // refusal
	CodeDeviceExists        = "device_exists"           // refusal, made of ErrDeviceExists by those who need a code
	CodeDeviceInvalid       = "device_invalid"          // refusal: Field says which
	CodeJoinResponseUnknown = "join_no_request"         // refusal: no such join-request waits
	CodeJoinResponseInvalid = "join_response_invalid"   // refusal
	CodeServer              = "server_error"            // error: the store failed, say
	CodeStopped             = "stopped"                 // refusal: the edge does not run
)
