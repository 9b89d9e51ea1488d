package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/assay-dev/assay/controllers"
	"github.com/assay-dev/assay/test/controlplane"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/sigstore"
)

// stopGrace is what the controller gets to end by itself.
const stopGrace = 40 * time.Second

// environment is everything that runs.
type environment struct {
	folder       string
	controlPlane *envtest.Environment
	kube         client.Client
	registry     *registry.Server
	sigstore     *sigstore.Sigstore
	controller   *exec.Cmd
	ended        chan error // the controller's end
	metrics      string     // address of the controller's metrics
	variables    string     // file for shells that want to take part
}

// start starts everything, and stops what it started if something fails.
func start(ctx context.Context, controller string) (env *environment, err error) {
	env = &environment{}
	defer func() {
		if err != nil {
			env.stop()
			env = nil
		}
	}()
	if env.folder, err = os.MkdirTemp("", "assay-run-"); err != nil {
		return env, err
	}
	say("starting etcd and kube-apiserver")
	if env.controlPlane, err = controlplane.Start(os.Stderr); err != nil {
		return env, err
	}
	if env.kube, err = client.New(env.controlPlane.Config, client.Options{Scheme: controllers.NewScheme()}); err != nil {
		return env, err
	}
	if err := os.WriteFile(env.kubeconfig(), env.controlPlane.KubeConfig, 0o600); err != nil {
		return env, err
	}
	say("starting an OCI registry")
	if env.registry, err = registry.Distribution(registry.Options{}); err != nil {
		return env, err
	}
	say("making a Sigstore: certificate authority, transparency logs, timestamp authority")
	if env.sigstore, err = sigstore.New(); err != nil {
		return env, err
	}
	if err := os.WriteFile(env.trustedRoot(), env.sigstore.TrustedRoot(), 0o600); err != nil {
		return env, err
	}
	if ctx.Err() != nil {
		return env, ctx.Err()
	}
	say("starting " + controller)
	return env, env.startController(controller)
}

func (e *environment) kubeconfig() string    { return filepath.Join(e.folder, "kubeconfig") }
func (e *environment) trustedRoot() string   { return filepath.Join(e.folder, "trusted_root.json") }
func (e *environment) controllerLog() string { return filepath.Join(e.folder, "controller.log") }

func (e *environment) startController(binary string) error {
	log, err := os.Create(e.controllerLog())
	if err != nil {
		return err
	}
	defer log.Close() // The child has its own.
	if e.metrics, err = freeAddress(); err != nil {
		return err
	}
	cmd := exec.Command(binary,
		"--storage-path", filepath.Join(e.folder, "artifacts"), "--storage-addr", "127.0.0.1:0",
		"--metrics-addr", e.metrics, "--health-addr", "0", "--log-format", "text",
		"--dial-allow", "127.0.0.0/8,::1/128", "--trusted-root", e.trustedRoot())
	cmd.Env = append(os.Environ(), "KUBECONFIG="+e.kubeconfig())
	cmd.Stdout, cmd.Stderr = log, log
	// Ctrl-C goes to the whole group of a terminal; the controller is to end
	// when we say so.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	e.controller, e.ended = cmd, make(chan error, 1)
	go func() { e.ended <- cmd.Wait() }()
	return nil
}

// wait waits for Ctrl-C, or for the controller to end by itself.
func (e *environment) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-e.ended:
		e.ended <- err
		return e.explain(fmt.Errorf("the controller ended: %w", err))
	}
}

// explain adds the end of the controller's log to an error.
func (e *environment) explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	log, readErr := os.ReadFile(e.controllerLog())
	if readErr != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	lines = lines[max(0, len(lines)-20):]
	return fmt.Errorf("%w\nthe controller's log ends with:\n%s", err, bytes.Join(lines, []byte("\n")))
}

// stop ends everything that was started.
func (e *environment) stop() {
	if e.controller != nil {
		e.stopController()
	}
	if e.registry != nil {
		_ = e.registry.Close()
	}
	if e.controlPlane != nil {
		if err := e.controlPlane.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
		}
	}
	if e.variables != "" {
		_ = os.Remove(e.variables)
	}
	if e.folder != "" {
		_ = os.RemoveAll(e.folder)
	}
}

// freeAddress is one on loopback that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// writeVariables writes what a shell needs to take part: the programs that are
// here, and where the others are.
func (e *environment) writeVariables(file string) error {
	programs, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return err
	}
	content := fmt.Sprintf("export KUBECONFIG='%s'\nexport PATH='%s:%s':\"$PATH\"\nexport REGISTRY=%s METRICS=%s\n",
		e.kubeconfig(), programs, e.controlPlane.BinaryAssetsDirectory, e.registry.Host(), e.metrics)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		return err
	}
	e.variables = file
	return nil
}

func (e *environment) stopController() {
	_ = e.controller.Process.Signal(syscall.SIGTERM)
	grace := time.AfterFunc(stopGrace, func() { _ = e.controller.Process.Kill() })
	defer grace.Stop()
	if err := <-e.ended; err != nil {
		fmt.Fprintln(os.Stderr, "the controller ended:", err)
	}
}

// printUse tells how to look at everything with other tools.
func (e *environment) printUse(rows []*row) {
	fmt.Printf("\nLook at it in another shell:\n  source %s\n  kubectl get modulesources --all-namespaces\n", e.variables)
	for _, r := range rows {
		if r.found != nil && r.found.Status.Artifact != nil {
			fmt.Printf("Download a published artifact:\n  curl -sS %s | tar -tz\n", r.found.Status.Artifact.URL)
			break
		}
	}
	fmt.Printf("The controller's log:\n  %s\n", e.controllerLog())
}

func say(text string) { fmt.Fprintln(os.Stderr, "==>", text) }
