package dns

// Error says why a message, or the rest of one, cannot be read. It is a number,
// so that returning one allocates nothing.
type Error uint8

// The errors. What was read before one stays valid.
const (
	ErrShort   Error = iota + 1 // the message ends within a field
	ErrLabel                    // a label of a reserved type, RFC 1035 §4.1.4
	ErrPointer                  // a compression pointer that does not point back
	ErrLength                   // a name of more than 255 octets, RFC 1035 §3.1
)

var errorTexts = [...]string{"error", "message too short", "reserved label type", "pointer not backwards", "name too long"}

// Error returns e in words.
func (e Error) Error() string {
	if int(e) < len(errorTexts) {
		return "parse dns: " + errorTexts[e]
	}
	return "parse dns: unknown error"
}
