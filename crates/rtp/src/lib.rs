//! RTP, RTCP and SRTP on the wire: headers, feedback, protection, continuity, without sockets or clocks.
