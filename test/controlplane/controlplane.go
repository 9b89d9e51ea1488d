// Package controlplane starts a real kube-apiserver and etcd on loopback, for
// tests and for the development environment.
package controlplane

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// startTimeout bounds the start of etcd and of kube-apiserver each: shared
// machines are slow at times.
const startTimeout = 2 * time.Minute

const assetsVariable = "KUBEBUILDER_ASSETS"

// Root is the root folder of this repository's work tree: the nearest one with
// a go.mod at or above the working directory, which for a test is its package's
// folder.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("expected to be inside the work tree, found no go.mod at or above %s", start)
		}
	}
}

// Assets returns the folder of the binaries etcd, kube-apiserver and kubectl:
// that of KUBEBUILDER_ASSETS where it is set, or the one that
// hack/controlplane/build.sh makes, once, in a few minutes, telling progress
// about it.
func Assets(progress io.Writer) (string, error) { return Built("controlplane", progress) }

// Built returns the folder of the programs that hack/<name>/build.sh makes, once,
// telling progress about it.
func Built(name string, progress io.Writer) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	cmd := exec.Command(filepath.Join(root, "hack", name, "build.sh"))
	cmd.Stdout, cmd.Stderr = &out, progress
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("hack/%s/build.sh: %w", name, err)
	}
	return strings.TrimSpace(out.String()), nil
}

// Start starts a control plane with the CRDs of config/crd/bases, after options
// have changed what is started. The caller stops it.
func Start(progress io.Writer, options ...func(*envtest.Environment)) (*envtest.Environment, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	assets, err := Assets(progress)
	if err != nil {
		return nil, err
	}
	// envtest prefers the variable to its own field.
	if err := os.Setenv(assetsVariable, assets); err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  startTimeout,
	}
	for _, option := range options {
		option(env)
	}
	if _, err := env.Start(); err != nil {
		return nil, fmt.Errorf("starting the control plane: %w", err)
	}
	return env, nil
}
