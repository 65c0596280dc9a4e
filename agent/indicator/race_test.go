//go:build race

package indicator

const raceEnabled = true
