package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// outputFlag is -o.
type outputFlag struct {
	name    string
	format  string
	formats []string
}

// addOutputFlag defines -o with the formats that a command knows, beside the
// one for people, which is the default.
func addOutputFlag(s *pflag.FlagSet, formats ...string) *outputFlag {
	return addNamedOutputFlag(s, "output", formats...)
}

// addNamedOutputFlag defines it under another name, for a command whose --output
// is something else.
func addNamedOutputFlag(s *pflag.FlagSet, name string, formats ...string) *outputFlag {
	o := &outputFlag{name: name, formats: formats}
	s.StringVarP(&o.format, name, "o", "", "format of the output: "+strings.Join(formats, ", ")+"; default: for people")
	offer(s, "output", formats...)
	return o
}

// offered is the annotation of a flag with the values that a shell completes.
const offered = "assay.dev/values"

// offer has a shell complete the values of a flag.
func offer(s *pflag.FlagSet, flag string, values ...string) {
	f := s.Lookup(flag)
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[offered] = values
}

// completeValues registers what was offered with the command.
func completeValues(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if values := f.Annotations[offered]; len(values) > 0 {
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	})
	for _, child := range c.Commands() {
		completeValues(child)
	}
}

// check refuses a format that the command does not know.
func (o *outputFlag) check() error {
	if o.format == "" || slices.Contains(o.formats, o.format) {
		return nil
	}
	return usageError("", "-o, --%s: expected %s, found %.100q", o.name, strings.Join(o.formats, ", "), o.format)
}

// print writes value as JSON or YAML, or, where neither is asked for, calls
// human. The names of fields are those of JSON.
func (t *terminal) print(o *outputFlag, value any, human func() error) error {
	switch o.format {
	case "json":
		text, err := marshalJSON(value)
		if err != nil {
			return err
		}
		_, err = t.out.Write(text)
		return err
	case "yaml":
		text, err := marshalYAML(value)
		if err != nil {
			return err
		}
		_, err = t.out.Write(text)
		return err
	default:
		return human()
	}
}

// marshalJSON escapes what does not print, which JSON need not: the text may be an
// attacker's, and JSON is read on terminals too.
func marshalJSON(value any) ([]byte, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, r := range string(text) {
		if r == '\n' || !doesNotPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) { // It is in a string: the rest is ASCII.
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return []byte(b.String() + "\n"), nil
}

// marshalYAML does the same. YAML has escapes in some places only, and JSON, which
// is YAML, in all; and of some characters the library makes no YAML at all.
func marshalYAML(value any) ([]byte, error) {
	text, err := yaml.Marshal(value)
	if err != nil || strings.ContainsFunc(strings.ReplaceAll(string(text), "\n", ""), doesNotPrint) {
		return marshalJSON(value)
	}
	return text, err
}

func doesNotPrint(r rune) bool { return !unicode.IsPrint(r) }

// output remembers that something could not be written: who reads only a part must
// not take it for the whole.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// style is how a word is coloured.
type style string

const (
	good   style = "32" // green
	bad    style = "31" // red
	unsure style = "33" // yellow
	faint  style = "2"
	strong style = "1"
)

// paint colours text where colours are wanted.
func (t *terminal) paint(s style, text string) string {
	if !t.color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
