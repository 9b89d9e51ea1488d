package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/assay-dev/assay/internal/verify"
)

// newKeysShowCommand shows public keys as messages and ModuleSources name them.
func newKeysShowCommand(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Show the fingerprint of a public key, or the manifest that a ModuleSource names",
		Example: `  assay keys show cosign.pub
  assay keys show cosign.pub -o configmap --name release-keys --namespace apps | kubectl apply -f -`,
		Args: arguments("FILE"),
	}
	f := &keysFlags{prefix: "cosign"}
	c.Flags().StringVar(&f.name, "name", "release-keys", "name of the Secret or ConfigMap")
	c.Flags().StringVar(&f.namespace, "namespace", "", "namespace of the Secret or ConfigMap; default: none in the manifest")
	output := addOutputFlag(c.Flags(), "secret", "configmap")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := errors.Join(output.check(), f.check()); err != nil {
			return err
		}
		keys, err := readKeys("FILE", args)
		if err != nil {
			return err
		}
		if output.format == "" {
			return showKeys(t, keys)
		}
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		manifest, err := f.manifest(output.format, text)
		if err != nil {
			return err
		}
		_, err = t.out.Write(manifest)
		return err
	}
	return c
}

func showKeys(t *terminal, keys []verify.Key) error {
	for _, key := range keys {
		if _, err := fmt.Fprintln(t.out, key.Fingerprint()); err != nil {
			return err
		}
	}
	return nil
}
