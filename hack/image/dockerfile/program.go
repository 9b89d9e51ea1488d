package dockerfile

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Args are the arguments of a build.
type Args struct {
	// Version and Revision are what the program and the image say of
	// themselves: a tag, and the commit.
	Version, Revision string
	// Created is the time of every file, and of the image.
	Created time.Time
}

// values are the arguments by the names that the Dockerfile gives them.
func (a Args) values() map[string]string {
	return map[string]string{"VERSION": a.Version, "REVISION": a.Revision}
}

// hermetic are the settings of the Go command that change what it makes, as they
// are in the builder.
var hermetic = []string{"GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=", "GOARM64=", "GOFIPS140=", "GODEBUG="}

// Program runs the first stage for a platform in a folder, which gets the files
// that the Dockerfile copies there and no others, and returns the program.
func (r *Recipe) Program(ctx context.Context, folder string, platform v1.Platform, args Args) (string, error) {
	command, err := r.compile()
	if err != nil {
		return "", err
	}
	s, err := r.ship(args)
	if err != nil {
		return "", err
	}
	if err := r.copyContext(folder); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "sh", "-euc", command)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), hermetic...), "TARGETOS="+platform.OS, "TARGETARCH="+platform.Architecture)
	for name, value := range args.values() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %s: %w\n%s", platform, command, err, out)
	}
	for _, f := range s.files {
		if f.built {
			return filepath.Join(folder, f.from), nil
		}
	}
	return "", fmt.Errorf("the Dockerfile: expected COPY --from=build, found none")
}
