package deploy

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/assay-dev/assay/hack/image/dockerfile"
)

const imageVersion = "v0.0.0-test"

// builtImage is the image's program for this machine, made once as the
// Dockerfile says; test/image tests the image itself.
func builtImage(t *testing.T) string {
	t.Helper()
	program, err := builtOnce()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var builtOnce = sync.OnceValues(func() (string, error) {
	recipe, err := dockerfile.Read(root)
	if err != nil {
		return "", err
	}
	platform := v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
	return recipe.Program(background, filepath.Join(scratch, "image"), platform, dockerfile.Args{Version: imageVersion})
})

func TestImageRunsAsTheDeploymentSays(t *testing.T) {
	recipe, err := dockerfile.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	pod := deployment(t).Spec.Template.Spec
	security, container := pod.SecurityContext, pod.Containers[0]
	want := fmt.Sprintf("%d:%d", *security.RunAsUser, *security.RunAsGroup)
	for _, i := range recipe.Ship {
		if i.Name == "USER" && i.Args != want {
			t.Errorf("expected the Deployment's user %s, found %s", want, i.Args)
		}
	}
	if !strings.HasPrefix(container.Image, "ghcr.io/assay-dev/assay-controller:") || container.Command != nil {
		t.Errorf("expected the entry point of ghcr.io/assay-dev/assay-controller, found %q %q", container.Image, container.Command)
	}
}

func TestImageTellsItsVersion(t *testing.T) {
	out, err := exec.Command(builtImage(t), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "assay-controller " + imageVersion; string(bytes.TrimSpace(out)) != want {
		t.Errorf("expected %q, found %q", want, out)
	}
}
