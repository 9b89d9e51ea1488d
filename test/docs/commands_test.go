package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/assay-dev/assay/test/controlplane"
)

// elsewhere are the programs whose command lines other tests hold, or nothing
// here can.
var elsewhere = map[string]string{
	"make":      "TestMakeTargetsExist",
	"assay":     "TestDocumentedCommandLines",
	"go":        "installs from the module proxy what a release puts there",
	"kustomize": "a folder of the reader's",
	"docker":    "there may be no engine",
	"cosign":    "test/interop runs it",
	"curl":      "asks a cluster of the reader's",
	"git":       "a clone of the reader's",
	"export":    "a word of the shell",
}

// TestEveryCommandIsHeld: each line that a document says to type is understood
// by its program here, or another test sees to it. The tutorial's are run, by
// test/tutorial.
func TestEveryCommandIsHeld(t *testing.T) {
	folder, err := controlplane.Assets(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "kubectl")); err != nil {
		t.Skip("KUBEBUILDER_ASSETS has no kubectl to ask")
	}
	for path, text := range documents(t) {
		if filepath.Base(path) == "tutorial.md" || strings.Contains(path, filepath.Join("docs", "cli")) {
			continue
		}
		for _, block := range blocks(text, "sh") {
			for _, command := range commandsOf(block) {
				switch program := command[0]; {
				case program == "kubectl" && len(command) > 1 && command[1] == "assay":
				case program == "kubectl":
					if err := understoodByKubectl(filepath.Join(folder, "kubectl"), command[1:]); err != "" {
						t.Errorf("%s: %q: %s", path, command, err)
					}
				case elsewhere[program] == "":
					t.Errorf("%s: nothing holds %q: add what does to this test", path, command)
				}
			}
		}
	}
}

// commandsOf splits a block into the words of its commands: those of a pipe or a
// list each, without what is fed to them.
func commandsOf(block string) [][]string {
	block = strings.ReplaceAll(block, "\\\n", " ")
	block = regexp.MustCompile(`(?ms)<<'?(\w+)'?.*?^\w+$`).ReplaceAllString(block, "")
	var commands [][]string
	for line := range strings.Lines(block) {
		line, _, _ = strings.Cut(line, " #")
		for _, command := range regexp.MustCompile(` (?:\|\|?|&&) | ?; `).Split(strings.TrimSpace(line), -1) {
			var words []string
			for _, word := range regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`).FindAllString(command, -1) {
				if len(words) > 0 || !regexp.MustCompile(`^[A-Z_]+=`).MatchString(word) {
					words = append(words, word)
				}
			}
			if len(words) > 0 && !strings.HasPrefix(words[0], "#") {
				commands = append(commands, words)
			}
		}
	}
	return commands
}

// understoodByKubectl has kubectl parse a command and its flags, and no more.
func understoodByKubectl(kubectl string, args []string) string {
	for i, a := range args {
		if args[i] = strings.Trim(a, `'"`); strings.HasPrefix(a, ">") || a == "--" {
			args = args[:i]
			break
		}
	}
	out, err := exec.Command(kubectl, append(slices.Clip(args), "--help")...).CombinedOutput()
	if err != nil {
		return string(out)
	}
	// Asked about a command that it does not know, it tells about itself.
	if first := args[0]; !strings.HasPrefix(first, "-") && !strings.Contains(string(out), "kubectl "+first) {
		return "no such command"
	}
	return folderIsThere(args)
}

// folderIsThere looks for what kubectl apply -k names.
func folderIsThere(args []string) string {
	at := slices.Index(args, "-k")
	if at < 0 || at+1 == len(args) || !strings.HasPrefix(args[at+1], "config/") {
		return ""
	}
	root, err := controlplane.Root()
	if err == nil {
		_, err = os.Stat(filepath.Join(root, args[at+1], "kustomization.yaml"))
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
