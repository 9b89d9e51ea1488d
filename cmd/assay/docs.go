package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newDocsCommand writes the reference, for packagers and for docs/cli.
func newDocsCommand(t *terminal) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:    "docs DIR",
		Short:  "Write a page for each command, as Markdown or as man pages",
		Hidden: true,
		Args:   arguments("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			// Written from a command line of its own: what this one was started as,
			// and where, does not belong into it.
			named := *t
			named.program = "assay"
			root := newRootCommand(&named)
			root.DisableAutoGenTag = true
			root.InitDefaultCompletionCmd()
			var write func(*cobra.Command, string) error
			switch format {
			case "markdown":
				write = doc.GenMarkdownTree
			case "man":
				write = func(c *cobra.Command, dir string) error {
					return doc.GenManTree(c, &doc.GenManHeader{Section: "1", Source: "assay " + versionText()}, dir)
				}
			default:
				return usageError("", "--format: expected markdown or man, found %.100q", format)
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			if err := write(root, args[0]); err != nil {
				return fmt.Errorf("writing the pages: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "markdown", "format of the pages: markdown, man")
	return c
}
