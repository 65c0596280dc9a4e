// Command skips reads the events of `go test -json` from a file and names every
// test that was skipped because it needs something that is not there: a tool, a
// privilege, data. Such a test says so with a message that begins with "needs ".
// It exits with status 1 when there are any.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"regexp"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("skips: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: skips EVENTS")
	}
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	needy, err := read(file)
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range needy {
		fmt.Printf("FAIL: %s was skipped, which CI does not allow\n", n)
	}
	if len(needy) > 0 {
		os.Exit(1)
	}
}

// event is the part of a test event (cmd/test2json) that is of interest.
type event struct {
	Action, Package, Test, Output string
}

// message is a line that t.Skip printed: a position, when the test runner gave
// one, and what is needed.
var message = regexp.MustCompile(`^\s*(?:\S+\.go:\d+: )?(needs .*)\n?$`)

// read returns one line for every skipped test that needs something.
func read(r io.Reader) (needy []string, err error) {
	type test struct{ pkg, name string }
	needs := make(map[test]string)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("parse event %q: %w", lines.Text(), err)
		}
		key := test{e.Package, e.Test}
		switch e.Action {
		case "output":
			if found := message.FindStringSubmatch(e.Output); found != nil {
				needs[key] = found[1]
			}
		case "skip":
			if need := needs[key]; need != "" {
				needy = append(needy, fmt.Sprintf("%s %s (%s)", e.Package, e.Test, need))
			}
			delete(needs, key)
		case "pass", "fail":
			delete(needs, key)
		}
	}
	return needy, lines.Err()
}
