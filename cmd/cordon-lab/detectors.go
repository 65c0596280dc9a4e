package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"cordon"
	"cordon/agent"
	"cordon/internal/cli"
)

func detectorsCommand() cli.Command {
	return cli.Command{
		Name: "detectors", Short: "write the reference pages of the detectors",
		Long: "Writes a page for each kind of detection, and an index, out of what the detectors say about themselves.",
		Setup: func(fs *flag.FlagSet) func(context.Context, []string) error {
			dir := fs.String("o", "", "`DIR` to write to")
			return func(_ context.Context, args []string) error {
				switch {
				case len(args) > 0:
					return cli.Usage("detectors takes no argument %q", args[0])
				case *dir == "":
					return cli.Usage("detectors: -o DIR is missing")
				}
				return writePages(*dir, detectorPages(agent.About()))
			}
		},
	}
}

// writePages writes the pages into a folder, made if need be, and says so.
func writePages(dir string, pages map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err := fmt.Printf("%s: %d pages\n", dir, len(pages))
	return err
}

// detectorPages returns the pages by file name.
func detectorPages(all []cordon.About) map[string]string {
	pages := make(map[string]string)
	var index strings.Builder
	index.WriteString("# Detectors\n\nGenerated from the code by `make gen`.\n\n| kind | family | ATT&CK |\n|---|---|---|\n")
	for _, a := range all {
		name := string(a.Kind) + ".md"
		fmt.Fprintf(&index, "| [%s](%s) | %s | %s |\n", a.Kind, name, a.Kind.Family(), a.Kind.Technique())
		pages[name] = detectorPage(a)
	}
	pages["README.md"] = index.String()
	return pages
}

func detectorPage(a cordon.About) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\nGenerated from the code by `make gen`. Family %s, MITRE ATT&CK [%s](https://attack.mitre.org/techniques/%s/).\n",
		a.Kind, a.Kind.Family(), a.Kind.Technique(), strings.ReplaceAll(a.Kind.Technique(), ".", "/"))
	section := func(title, text string) { fmt.Fprintf(&b, "\n## %s\n\n%s\n", title, text) }
	section("What it sees", a.Sees)
	section("How it judges", a.Judges)
	if len(a.Parameters) > 0 {
		b.WriteString("\n## Parameters\n\n| name | default | meaning |\n|---|---|---|\n")
		for _, p := range a.Parameters {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", p.Name, p.Default, p.Meaning)
		}
	}
	section("What a detection shows", a.Evidence)
	b.WriteString("\n## What can look the same\n\n")
	for _, f := range a.FalseAlarms {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	section("Which inputs suffice", a.Inputs)
	section("Measured error bound", a.Bound)
	section("Measured delay", a.Delay)
	return b.String()
}
