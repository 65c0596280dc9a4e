package http

import "encoding/binary"

// Offsets in the header of an ELF file: identification and e_machine (System V
// ABI, ELF header).
const (
	atData    = 5 // 1: little endian, 2: big endian
	atMachine = 18
	bigEndian = 2
)

// machine is a processor by its ELF number (System V ABI, e_machine): its names
// when little and when big endian.
type machine struct {
	number      uint16
	little, big string
}

// machines are the processors that malware for routers and cameras is built
// for, and those of home computers.
var machines = [...]machine{
	{2, "sparc", "sparc"},
	{3, "x86", "x86"},
	{4, "m68k", "m68k"},
	{6, "x86", "x86"}, // Intel MCU
	{8, "mipsel", "mips"},
	{10, "mipsel", "mipsel"}, // MIPS RS3000 little-endian
	{18, "sparc", "sparc"},   // SPARC V8+
	{20, "ppc", "ppc"},
	{21, "ppc64", "ppc64"},
	{22, "s390", "s390"},
	{40, "arm", "armeb"},
	{42, "sh", "sheb"},
	{43, "sparc64", "sparc64"},
	{45, "arc", "arceb"},
	{62, "x86-64", "x86-64"},
	{93, "arc", "arceb"}, // ARCompact
	{94, "xtensa", "xtensaeb"},
	{183, "arm64", "arm64eb"},
	{189, "microblazeel", "microblaze"},
	{195, "arc", "arceb"}, // ARCv2
	{243, "riscv", "riscv"},
	{258, "loongarch", "loongarch"},
}

// ELF reports whether body begins like an executable in ELF, and for which
// processor: a stable name, "unknown" for one that is not listed or not there.
func ELF(body []byte) (name string, ok bool) {
	if len(body) < 4 || string(body[:4]) != "\x7fELF" {
		return "", false
	}
	if len(body) < atMachine+2 {
		return "unknown", true
	}
	number := binary.LittleEndian.Uint16(body[atMachine:])
	if body[atData] == bigEndian {
		number = binary.BigEndian.Uint16(body[atMachine:])
	}
	for _, m := range machines {
		switch {
		case m.number != number:
		case body[atData] == bigEndian:
			return m.big, true
		default:
			return m.little, true
		}
	}
	return "unknown", true
}
