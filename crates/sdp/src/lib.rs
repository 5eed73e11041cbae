//! Session descriptions (RFC 8866, RFC 8829) as Kurento's clients write them: parse, answer, offer.
