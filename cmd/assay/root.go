package main

import (
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// newRootCommand is the whole command line.
func newRootCommand(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   t.program,
		Short: "Push, sign and verify OCI modules, and check ModuleSources",
		Long: `assay pushes and signs OCI modules (Timoni's first of all) for their authors, and
verifies them for everybody else: with the same code, and so with the same
verdict, as the controller in the cluster.

It exits with 0 when it is done or verified, 1 when the verdict is no, 2 when it
could not be done or judged, and 3 when the command line makes no sense.`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	if t.program != "assay" {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl assay"}
	}
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError(meantFlag(c.Flags(), err), "%v", err)
	})
	root.AddCommand(commands(t)...)
	completeValues(root)
	return root
}

// commands are those of the command line, in the order of help.
func commands(t *terminal) []*cobra.Command {
	return []*cobra.Command{
		newPushCommand(t),
		newPullCommand(t),
		newSignCommand(t),
		newKeysCommand(t),
		newVerifyCommand(t),
		newInspectCommand(t),
		newGetCommand(t),
		newEventsCommand(t),
		newDocsCommand(t),
	}
}

// programName is the name that the program was started by: kubectl finds
// plugins by it.
func programName(arg0 string) string {
	if name := strings.TrimSuffix(filepath.Base(arg0), ".exe"); name == "kubectl-assay" {
		return name
	}
	return "assay"
}

// arguments are exactly those arguments, named as in usage.
func arguments(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError(c.UseLine(), "expected %s, found %d of %d arguments", strings.Join(names, " and "), len(args), len(names))
		case len(args) > len(names):
			return usageError(c.UseLine(), "expected %s, found one more argument: %.200q", strings.Join(names, " and "), args[len(names)])
		}
		return nil
	}
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !c.HasSubCommands() {
		return usageError(c.UseLine(), "expected no argument, found %.200q", args[0])
	}
	instead := ""
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		instead = c.CommandPath() + " " + near[0]
	}
	return usageError(instead, "expected a command, found %.200q", args[0])
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
