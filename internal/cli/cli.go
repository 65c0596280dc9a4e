// Package cli runs a program of subcommands on the standard flag package: one
// table of commands, help for each, flags before or after the arguments, and
// one place that turns an error into an exit status.
package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
)

// Command is one subcommand.
type Command struct {
	Name  string
	Args  string // as shown in the usage line: "FILE…"
	Short string // one line, lower case, no full stop
	Long  string // more, shown by help; may be empty
	// Setup declares the flags and returns what runs the command with the
	// arguments that are not flags.
	Setup func(*flag.FlagSet) func(ctx context.Context, args []string) error
}

// Program is a command line program. Besides its Commands it has "help" and
// "version".
type Program struct {
	Name     string
	About    string
	Commands []Command
	Stderr   io.Writer
	Stdout   io.Writer
}

// Exit is an error that ends the program with Status. An Exit with a nil Err
// prints nothing: everything was said already.
type Exit struct {
	Status int
	Err    error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit status %d", e.Status)
	}
	return e.Err.Error()
}

func (e *Exit) Unwrap() error { return e.Err }

// Usage returns an error about how the program was called, exit status 2.
func Usage(format string, args ...any) error {
	return &Exit{Status: 2, Err: fmt.Errorf(format, args...)}
}

// Run runs the program with args, the program's name left out, and returns its
// exit status: 0 done, 2 called wrongly, otherwise what the command's Exit says,
// 1 for any other error.
func (p *Program) Run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		p.help(p.Stderr)
		return 2
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "--help":
		if len(rest) == 0 {
			return p.status(p.print(p.help))
		}
		name, rest = rest[0], []string{"--help"}
	case "--version":
		name = "version"
	}
	for _, c := range p.commands() {
		if c.Name == name {
			return p.status(p.run(ctx, &c, rest))
		}
	}
	fmt.Fprintf(p.Stderr, "%s: no command %q; '%s help' lists them\n", p.Name, name, p.Name)
	return 2
}

// commands returns the program's own commands and those that every program has.
func (p *Program) commands() []Command {
	return append(slices.Clip(p.Commands), Command{Name: "version", Short: "print the program's version",
		Setup: func(*flag.FlagSet) func(context.Context, []string) error {
			return func(_ context.Context, args []string) error {
				if len(args) > 0 {
					return Usage("version takes no argument %q", args[0])
				}
				info, _ := debug.ReadBuildInfo()
				return p.print(func(w io.Writer) { fmt.Fprintf(w, "%s %s\n", p.Name, version(info)) })
			}
		}})
}

// version is the module's version, "devel" where there is none, and the revision
// that the program was built from where the go command noted it (go help buildvcs).
func version(info *debug.BuildInfo) string {
	if info == nil {
		return "devel"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	noted := make(map[string]string)
	for _, s := range info.Settings {
		noted[s.Key] = s.Value
	}
	if revision := noted["vcs.revision"]; revision != "" {
		v += ", revision " + revision
		if noted["vcs.modified"] == "true" {
			v += ", modified"
		}
	}
	return v
}

// print writes to standard output what the user asked to see. Its error is that
// of Stdout, which says what was written to.
func (p *Program) print(text func(io.Writer)) error {
	var b bytes.Buffer
	text(&b)
	_, err := p.Stdout.Write(b.Bytes())
	return err
}

func (p *Program) run(ctx context.Context, c *Command, args []string) error {
	fs := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	run := c.Setup(fs)
	positional, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return p.print(func(w io.Writer) { p.usage(w, c, fs) })
	}
	if err != nil {
		return Usage("%s: %w; '%s help %s' shows the flags", c.Name, err, p.Name, c.Name)
	}
	return run(ctx, positional)
}

// parse lets flags stand before, between and behind the arguments; "--" ends them.
func parse(fs *flag.FlagSet, args []string) (positional []string, err error) {
	for {
		before := len(args)
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		rest := fs.Args()
		if n := before - len(rest); n > 0 && args[n-1] == "--" {
			return append(positional, rest...), nil
		}
		if len(rest) == 0 {
			return positional, nil
		}
		positional, args = append(positional, rest[0]), rest[1:]
	}
}

func (p *Program) status(err error) int {
	if err == nil {
		return 0
	}
	status := 1
	if exit := (*Exit)(nil); errors.As(err, &exit) {
		if status = exit.Status; exit.Err == nil {
			return status
		}
	}
	fmt.Fprintf(p.Stderr, "%s: %v\n", p.Name, err)
	return status
}

func (p *Program) help(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n\nusage: %s COMMAND [flags] [arguments]\n\n", p.Name, p.About, p.Name)
	for _, c := range p.commands() {
		fmt.Fprintf(w, "  %-12s %s\n", c.Name, c.Short)
	}
	fmt.Fprintf(w, "\n'%s help COMMAND' shows a command's flags.\n", p.Name)
}

func (p *Program) usage(w io.Writer, c *Command, fs *flag.FlagSet) {
	fmt.Fprintf(w, "%s %s: %s\n\nusage: %s\n", p.Name, c.Name, c.Short,
		strings.Join(strings.Fields(p.Name+" "+c.Name+" [flags] "+c.Args), " "))
	if c.Long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(c.Long))
	}
	any := false
	fs.VisitAll(func(*flag.Flag) { any = true })
	if any {
		fmt.Fprint(w, "\nflags:\n")
		fs.SetOutput(w)
		fs.PrintDefaults()
	}
}
