// Package cordon is the vocabulary: the words that every stage, on the router
// and at the provider, uses for the same thing. It holds plain types and the
// tables that give them meaning (which kinds of detection there are, which
// ports are probed by malware), and imports the standard library only.
//
// The order of the files is the order in which the words appear while a packet
// becomes an action: [Flow] and [Observation], [Device], [Detection],
// [Incident], [Action].
package cordon
