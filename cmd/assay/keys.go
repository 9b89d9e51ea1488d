package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/internal/signing"
	"github.com/assay-dev/assay/internal/verify"
)

func newKeysCommand(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make keys to sign with, and show them",
		Args:  noArguments,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newKeysGenerateCommand(t), newKeysShowCommand(t))
	return c
}

// keysFlags say where a key pair goes.
type keysFlags struct {
	prefix, name, namespace string
	force                   bool
}

func newKeysGenerateCommand(t *terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "generate",
		Short: "Make a Cosign key pair",
		Long: `generate makes a key pair (ECDSA, P-256) and writes it to cosign.key, encrypted
with a password from $COSIGN_PASSWORD or asked for, and to cosign.pub, as
cosign generate-key-pair does. Either program signs with it.

With -o secret or -o configmap it also prints the manifest of a Secret or of a
ConfigMap, with the public half alone, that a ModuleSource can name.`,
		Example: `  assay keys generate
  assay keys generate -o configmap --name release-keys --namespace apps | kubectl apply -f -`,
		Args: noArguments,
	}
	f := &keysFlags{}
	c.Flags().StringVar(&f.prefix, "output-key-prefix", "cosign", "path of the files, without .key and .pub")
	c.Flags().StringVar(&f.name, "name", "release-keys", "name of the Secret or ConfigMap")
	c.Flags().StringVar(&f.namespace, "namespace", "", "namespace of the Secret or ConfigMap; default: none in the manifest")
	c.Flags().BoolVar(&f.force, "force", false, "replace files that exist, without asking")
	output := addOutputFlag(c.Flags(), "secret", "configmap")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := errors.Join(output.check(), f.check()); err != nil {
			return err
		}
		keys, err := f.generate(c.Context(), t)
		if err != nil {
			return err
		}
		manifest, err := f.manifest(output.format, keys.Public)
		if err != nil {
			return err
		}
		_, err = t.out.Write(manifest)
		return err
	}
	return c
}

// namePattern is the rule of the API server for names (RFC 1123).
var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

func (f *keysFlags) check() error {
	switch {
	case f.prefix == "" || os.IsPathSeparator(f.prefix[len(f.prefix)-1]):
		return usageError("", "--output-key-prefix: expected the path of a file, without .key, found %.200q", f.prefix)
	case !namePattern.MatchString(f.name):
		return usageError("", "--name: expected a name in lower case (RFC 1123), found %.100q", f.name)
	case f.namespace != "" && !namePattern.MatchString(f.namespace):
		return usageError("", "--namespace: expected a name in lower case (RFC 1123), found %.100q", f.namespace)
	}
	return nil
}

// generate makes a key pair and writes both files, or neither.
func (f *keysFlags) generate(ctx context.Context, t *terminal) (signing.KeyPair, error) {
	private, public := f.prefix+".key", f.prefix+".pub"
	replace, err := f.mayReplace(ctx, t, private, public)
	if err != nil {
		return signing.KeyPair{}, err
	}
	password, err := t.newKeyPassword(ctx)
	if err != nil {
		return signing.KeyPair{}, err
	}
	keys, err := signing.GenerateKeys(password)
	if err != nil {
		return signing.KeyPair{}, err
	}
	// The public half first: it can be had from the private one, and an old
	// private key that is lost cannot be had back.
	if err := writeFile(public, keys.Public, 0o644, replace); err != nil {
		return signing.KeyPair{}, err
	}
	if err := writeFile(private, keys.Private, 0o600, replace); err != nil {
		if !replace {
			err = errors.Join(err, os.Remove(public))
		}
		return signing.KeyPair{}, err
	}
	t.say("Wrote the private key to %s, and the public key to %s.", private, public)
	parsed, err := verify.ParseKeys(keys.Public)
	if err == nil && len(parsed) == 1 {
		t.say("Its fingerprint is %s.", parsed[0].Fingerprint())
	}
	return keys, err
}

// mayReplace asks before a file is replaced: a private key that is lost cannot be
// had back.
func (f *keysFlags) mayReplace(ctx context.Context, t *terminal, paths ...string) (bool, error) {
	var there []string
	for _, path := range paths {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return false, err
		case info.IsDir(): // One half would be replaced, and the other not.
			return false, usageError("--output-key-prefix with another name", "expected a file or nothing at %s, found a folder", path)
		}
		there = append(there, path)
	}
	switch {
	case f.force || len(there) == 0:
		return f.force, nil
	case !t.canAsk:
		return false, usageError("--output-key-prefix with another name\n     --force, and the old key is lost", "expected no file %s, found one", there[0])
	}
	return true, t.confirm(ctx, fmt.Sprintf("%s exists. Replace it? The old key is lost.", there[0]))
}

// newKeyPassword is asked for twice.
func (t *terminal) newKeyPassword(ctx context.Context) ([]byte, error) {
	password, err := t.keyPassword(ctx, "Password for the private key")
	if _, given := os.LookupEnv(passwordVariable); given || err != nil {
		return password, err
	}
	again, err := t.askPassword(ctx, "The same again")
	if err == nil && !bytes.Equal(password, again) {
		err = usageError("", "expected the same password twice, found two")
	}
	return password, err
}

// writeFile writes a file as a whole. Unless it may replace one, it fails if there
// is one by now.
func writeFile(path string, content []byte, mode os.FileMode, replace bool) (err error) {
	if !replace {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		_, err = file.Write(content)
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".assay-") // of mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}

// manifest is the public half for a ModuleSource to name; nothing if none is
// asked for.
func (f *keysFlags) manifest(kind string, public []byte) ([]byte, error) {
	metadata := map[string]any{"name": f.name}
	if f.namespace != "" {
		metadata["namespace"] = f.namespace
	}
	manifest := map[string]any{"apiVersion": "v1", "metadata": metadata}
	data := map[string]any{"cosign.pub": string(public)}
	switch kind {
	case "secret":
		manifest["kind"], manifest["stringData"] = "Secret", data
	case "configmap":
		manifest["kind"], manifest["data"] = "ConfigMap", data
	default:
		return nil, nil
	}
	return yaml.Marshal(manifest)
}
