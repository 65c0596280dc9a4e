package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"cordon/agent/config"
	"cordon/agent/control"
	"cordon/internal/cli"
	"cordon/internal/term"
)

// The exit statuses of the commands that ask the agent.
const (
	exitUsage      = 2
	exitNotRunning = 3
	exitFindings   = 4 // doctor found what does not work
)

const askHelp = `
exit status:
  0  done
  1  the agent refused, failed or did not answer
  2  called wrongly, or there is no such device
  3  the agent is not running
`

// question is a command that asks the agent: its flags, and where its answer goes.
type question struct {
	stdout *os.File
	asJSON bool
	socket string
}

// ask makes a command that asks the running agent. setup declares flags of its own.
func ask(stdout *os.File, c cli.Command, setup func(*flag.FlagSet) func(context.Context, *question, []string) error) cli.Command {
	c.Long = strings.TrimSpace(c.Long) + "\n" + askHelp
	c.Setup = func(fs *flag.FlagSet) func(context.Context, []string) error {
		q := &question{stdout: stdout}
		fs.BoolVar(&q.asJSON, "json", false, "print JSON (docs/reference/cordon-agent.md)")
		fs.StringVar(&q.socket, "socket", "", "ask at the socket `PATH` (default: as "+config.Path+" says)")
		run := setup(fs)
		return func(ctx context.Context, args []string) error { return q.fail(run(ctx, q, args)) }
	}
	return c
}

// client returns the way to the agent.
func (q *question) client() *control.Client {
	if q.socket != "" {
		return control.NewClient(q.socket)
	}
	cfg, err := config.Load(config.Path)
	if err != nil { // none, or one that the agent refused too: doctor says so
		cfg = config.Default()
	}
	return control.NewClient(cfg.Control.Socket)
}

// show prints an answer: v for programs, or what text writes for people.
func (q *question) show(v any, text func(*screen)) error {
	var out strings.Builder
	if q.asJSON {
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else {
		text(&screen{Writer: &out, color: colored(q.stdout)})
	}
	_, err := io.WriteString(q.stdout, out.String())
	return err
}

// fail turns an error of the agent into an exit status and words, on standard output
// for programs.
func (q *question) fail(err error) error {
	e := (*control.Error)(nil)
	if !errors.As(err, &e) {
		return err
	}
	status := 1
	switch e.Code {
	case control.CodeRequest, control.CodeNotFound, control.CodeAmbiguous:
		status = exitUsage
	case control.CodeNotRunning:
		status = exitNotRunning
	}
	if q.asJSON {
		if err := q.show(e, nil); err != nil {
			return err
		}
		return &cli.Exit{Status: status}
	}
	text := term.Escape(e.Message)
	for _, c := range e.Candidates {
		text += "\n  " + term.Escape(c)
	}
	if e.Hint != "" {
		text += "\n  " + term.Escape(e.Hint)
	}
	return &cli.Exit{Status: status, Err: errors.New(text)}
}

// none reports an error when a command that takes no arguments was given some.
func none(command string, args []string) error {
	if len(args) > 0 {
		return cli.Usage("%s takes no argument %q", command, args[0])
	}
	return nil
}

// screen is where text for people goes.
type screen struct {
	io.Writer
	color bool
}

func (s *screen) printf(format string, args ...any) { fmt.Fprintf(s, format, args...) }

func (s *screen) paint(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *screen) bold(text string) string { return s.paint("1", text) }

// state paints what needs attention.
func (s *screen) state(text string, width int) string {
	padded := fmt.Sprintf("%-*s", width, text)
	switch text {
	case string(control.StateQuarantined), string(control.StateBlocked), control.FindingFail, control.PartFailed, "act":
		return s.paint("1;31", padded)
	case string(control.StateLimited), string(control.StateWatched), control.FindingWarn, control.PartDegraded, "notify":
		return s.paint("33", padded)
	}
	return padded
}

// table prints rows in columns. Its cells are escaped and cut here; a column's width
// is that of its widest cell.
func (s *screen) table(indent string, rows [][]string) {
	const most = 44 // characters of a cell
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			row[i] = dash(term.Cut(cell, most))
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
	}
	for n, row := range rows {
		line := indent
		for i, cell := range row {
			padded := cell + strings.Repeat(" ", widths[i]-len([]rune(cell))+2)
			if n > 0 {
				padded = strings.Replace(padded, cell, s.state(cell, 0), 1)
			}
			line += padded
		}
		line = strings.TrimRight(line, " ")
		if n == 0 {
			line = s.bold(line)
		}
		s.printf("%s\n", line)
	}
}
