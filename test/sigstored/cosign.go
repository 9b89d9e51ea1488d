package sigstored

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Cosign is a release of Cosign.
type Cosign string

// The releases: the last of version 2, and version 3.
const (
	Cosign2 Cosign = "cosign2"
	Cosign3 Cosign = "cosign3"
)

// Environment is one in which a program that signs or verifies neither reads the
// user's files nor leaves the machine: where it would ask the public instance, it
// meets a port at which nobody listens. It is asked no questions, and the passwords
// of private keys are empty.
func (s *Stack) Environment() []string {
	const nowhere = "http://127.0.0.1:9"
	home := s.file("home")
	return []string{
		"HOME=" + home, "DOCKER_CONFIG=" + home, "XDG_CACHE_HOME=" + home, "TUF_ROOT=" + filepath.Join(home, "tuf"), "TUF_MIRROR=" + nowhere,
		"HTTP_PROXY=" + nowhere, "HTTPS_PROXY=" + nowhere, "NO_PROXY=127.0.0.1",
		"PATH=" + os.Getenv("PATH"), "COSIGN_PASSWORD=", "COSIGN_YES=true",
	}
}

// Command is a command of Cosign in the Environment. Version 2 takes the
// certificates and keys of the stack from there as well.
func (s *Stack) Command(ctx context.Context, release Cosign, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Assets, string(release)), args...)
	cmd.Env = s.Environment()
	if release == Cosign2 {
		cmd.Env = append(cmd.Env,
			"SIGSTORE_ROOT_FILE="+s.file(fileCAChain),
			"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE="+s.file(fileCTLogPublic),
			"SIGSTORE_REKOR_PUBLIC_KEY="+s.file(fileRekor1),
			"SIGSTORE_TSA_CERTIFICATE_FILE="+s.file(fileTSAChain))
	}
	return cmd
}

// Cosign runs a command of Cosign, and returns what it printed to standard
// output. The error has what it printed to standard error.
func (s *Stack) Cosign(ctx context.Context, release Cosign, command string, args ...string) ([]byte, error) {
	cmd := s.Command(ctx, release, append([]string{command}, args...)...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w: %s", release, command, err, problems.String())
	}
	return out.Bytes(), nil
}
