package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocs: there is a page for each command, in either format.
func TestDocs(t *testing.T) {
	term, _, _ := fakeTerminal()
	var commands []string
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.Hidden {
			commands = append(commands, c.CommandPath())
		}
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(newRootCommand(term))
	for format, page := range map[string]func(string) string{
		"markdown": func(c string) string { return strings.ReplaceAll(c, " ", "_") + ".md" },
		"man":      func(c string) string { return strings.ReplaceAll(c, " ", "-") + ".1" },
	} {
		folder := filepath.Join(t.TempDir(), "new")
		if got := assay(t, "docs", folder, "--format", format); got.code != exitOK {
			t.Fatalf("%s: exit %d: %s", format, got.code, got.err)
		}
		for _, c := range commands {
			if _, err := os.Stat(filepath.Join(folder, page(c))); err != nil {
				t.Errorf("%s: expected a page for %q: %v", format, c, err)
			}
		}
	}
	if got := assay(t, "docs", t.TempDir(), "--format", "html"); got.code != exitUsage {
		t.Errorf("expected exit %d, found %d: %s", exitUsage, got.code, got.err)
	}
}

// TestCompletion: the scripts are read by their shells, where these are
// installed, and know commands and flags.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := assay(t, "completion", shell)
		if got.code != exitOK || len(got.out) < 1000 {
			t.Errorf("%s: expected a script, found exit %d: %s%s", shell, got.code, got.out, got.err)
			continue
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		script := filepath.Join(t.TempDir(), "completion")
		if err := os.WriteFile(script, []byte(got.out), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), path, "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v: %s", shell, err, out)
		}
	}
	for typed, want := range map[string]string{"ver": "verify", "verify --certificate-oidc": "--certificate-oidc-issuer", "keys ": "generate"} {
		if got := assay(t, append([]string{"__complete"}, strings.Split(typed, " ")...)...); !strings.Contains(got.out, want) {
			t.Errorf("%q: expected %s to be proposed, found %s", typed, want, got.out)
		}
	}
}

// TestEveryCommandHasAnExample: and says what it is for.
func TestEveryCommandHasAnExample(t *testing.T) {
	term, _, _ := fakeTerminal()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || (c.Runnable() && c.HasParent() && !c.Hidden && !c.HasSubCommands() && c.Example == "") {
			t.Errorf("%s: expected a short description and an example", c.CommandPath())
		}
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(newRootCommand(term))
}

// TestDocumentedCommandLines: what the documents say to type is understood.
func TestDocumentedCommandLines(t *testing.T) {
	blocks, commands := regexp.MustCompile("(?ms)^```sh\n(.*?)^```"), regexp.MustCompile(`(?m)^(?:.*\| )?((?:kubectl )?assay [^|\n]*)`)
	checked := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, block := range blocks.FindAllStringSubmatch(string(text), -1) {
			for _, command := range commands.FindAllStringSubmatch(strings.ReplaceAll(block[1], "\\\n", " "), -1) {
				checked++
				if err := understood(command[1]); err != nil {
					t.Errorf("%s: %s: %v", path, command[1], err)
				}
			}
		}
		return err
	})
	if err != nil || checked < 10 {
		t.Errorf("expected command lines in the documents, found %d, %v", checked, err)
	}
}

// understood reports what is wrong with a command line, without running it.
func understood(line string) error {
	term, _, _ := fakeTerminal()
	root := newRootCommand(term)
	root.InitDefaultCompletionCmd()
	var words []string
	for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(strings.TrimPrefix(line, "kubectl "), -1) {
		if strings.HasPrefix(word, ">") {
			break // Where the output goes.
		}
		words = append(words, strings.Trim(word, "'"))
	}
	command, rest, err := root.Find(words[1:])
	if err != nil {
		return err
	}
	if err := command.ParseFlags(rest); err != nil {
		return err
	}
	return command.ValidateArgs(command.Flags().Args())
}
