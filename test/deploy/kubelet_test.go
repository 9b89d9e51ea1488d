package deploy

import (
	"fmt"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	namespace          = "assay-system"
	name               = "assay-controller" // of everything in it
	serviceAccountUser = "system:serviceaccount:" + namespace + ":" + name
)

func deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	return installed.deployment(t)
}

func (m manifests) deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	if err := m.find("Deployment", name, d); err != nil {
		t.Fatal(err)
	}
	if n := len(d.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("expected one container, found %d", n)
	}
	return d
}

// home is where a controller runs: in which namespace, by which manifests, and
// what a test adds to its arguments.
type home struct {
	namespace string
	manifests manifests
	args      []string
}

// own is the home that the install file gives it.
func own() home { return home{namespace: namespace, manifests: installed} }

// pod is what a kubelet makes of the Deployment's template on this machine.
type pod struct {
	home
	spec      *corev1.PodSpec
	labels    map[string]string
	container *corev1.Container
	args      []string
	env       []string
	volume    string           // where the one volume to write to is
	logLevel  string           // the file that a ConfigMap would bring
	ip        string           // its own among the replicas
	ports     map[int32]string // what each container port is here
}

func newPod(t *testing.T, of home) *pod {
	t.Helper()
	template := of.manifests.deployment(t).Spec.Template
	p := &pod{home: of, spec: &template.Spec, labels: template.Labels, container: &template.Spec.Containers[0], volume: t.TempDir()}
	p.findAddress(t)
	env := p.variables(t)
	for name, value := range env {
		p.env = append(p.env, name+"="+value)
	}
	for _, arg := range p.container.Args {
		p.args = append(p.args, p.local(t, expand(t, arg, env)))
	}
	// Registries are on this machine, as they are not in a cluster.
	p.args = append(p.args, "--dial-allow=127.0.0.0/8,::1/128")
	p.args = append(p.args, of.args...)
	return p
}

// variables are those of the container's environment.
func (p *pod) variables(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, v := range p.container.Env {
		from := v.ValueFrom
		switch {
		case from == nil:
			env[v.Name] = expand(t, v.Value, env)
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
			env[v.Name] = p.namespace
		case from.FieldRef != nil && from.FieldRef.FieldPath == "status.podIP":
			env[v.Name] = p.ip
		case from.ResourceFieldRef != nil && from.ResourceFieldRef.Resource == "limits.memory":
			// Without a limit it would be what the node has.
			limit, ok := p.container.Resources.Limits[corev1.ResourceMemory]
			if !ok {
				t.Fatalf("env %s: the container has no %s", v.Name, from.ResourceFieldRef.Resource)
			}
			env[v.Name] = strconv.FormatInt(in(limit, from.ResourceFieldRef.Divisor), 10)
		default:
			t.Fatalf("env %s: this test does not know how to fill in %+v", v.Name, from)
		}
	}
	return env
}

// in is a quantity in units of a divisor, rounded up as the kubelet does; none
// is 1.
func in(q, divisor resource.Quantity) int64 {
	if divisor.IsZero() {
		return q.Value()
	}
	return (q.Value() + divisor.Value() - 1) / divisor.Value()
}

var reference = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// expand substitutes $(VAR). The kubelet leaves what it does not know as it
// is, which is never what was meant.
func expand(t *testing.T, text string, env map[string]string) string {
	t.Helper()
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		value, ok := env[strings.Trim(ref, "$()")]
		if !ok {
			t.Fatalf("%q: the container has no variable %s", text, ref)
		}
		return value
	})
}

// local changes the arguments that only a container can have, and no other.
// Addresses: a Pod has all of its own, this machine has others too, and nobody
// outside is to reach them.
// The storage path: it is the volume's mount point, and nothing mounts it
// here.
func (p *pod) local(t *testing.T, arg string) string {
	t.Helper()
	flag, value, _ := strings.Cut(arg, "=")
	switch flag {
	case "--storage-addr", "--metrics-addr", "--health-addr":
		port, err := strconv.ParseInt(strings.TrimPrefix(value, ":"), 10, 32)
		here, declared := p.ports[int32(port)]
		if err != nil || !declared {
			t.Fatalf("%s: expected a port that the container declares, one of %v", arg, p.container.Ports)
		}
		return flag + "=" + net.JoinHostPort(p.ip, here)
	case "--storage-path":
		mount := p.mount(t, value)
		if mount.ReadOnly || !p.emptyDir(mount.Name) {
			t.Fatalf("%s: expected an emptyDir to be mounted there, found %+v", arg, mount)
		}
		return flag + "=" + p.volume
	case "--log-level-file":
		mount := p.mount(t, path.Dir(value))
		if !mount.ReadOnly || !p.optionalConfigMap(mount.Name) {
			t.Fatalf("%s: expected a ConfigMap that need not exist to be mounted there, found %+v", arg, mount)
		}
		p.logLevel = filepath.Join(t.TempDir(), path.Base(value))
		return flag + "=" + p.logLevel
	default:
		return arg
	}
}

// mount is what is mounted at a path. Every one has its argument.
func (p *pod) mount(t *testing.T, at string) corev1.VolumeMount {
	t.Helper()
	mounts := p.container.VolumeMounts
	i := slices.IndexFunc(mounts, func(m corev1.VolumeMount) bool { return m.MountPath == at })
	if i < 0 || len(mounts) != 2 {
		t.Fatalf("expected two mounts, one of them at %s, found %+v", at, mounts)
	}
	return mounts[i]
}

func (p *pod) optionalConfigMap(volume string) bool {
	return slices.ContainsFunc(p.spec.Volumes, func(v corev1.Volume) bool {
		return v.Name == volume && v.ConfigMap != nil && v.ConfigMap.Name == "assay-controller-log" && v.ConfigMap.Optional != nil && *v.ConfigMap.Optional
	})
}

func (p *pod) emptyDir(volume string) bool {
	return slices.ContainsFunc(p.spec.Volumes, func(v corev1.Volume) bool {
		return v.Name == volume && v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil
	})
}

// port resolves the name or number of a container port to where it is.
func (p *pod) port(of intstr.IntOrString) (string, error) {
	for _, port := range p.container.Ports {
		if of == intstr.FromString(port.Name) || of == intstr.FromInt32(port.ContainerPort) {
			return net.JoinHostPort(p.ip, p.ports[port.ContainerPort]), nil
		}
	}
	return "", fmt.Errorf("the container has no port %s", of.String())
}

// probe asks as the kubelet does.
func (p *pod) probe(probe *corev1.Probe) error {
	address, err := p.port(probe.HTTPGet.Port)
	if err != nil {
		return err
	}
	code, body, err := get(http.DefaultClient, "http://"+address+probe.HTTPGet.Path)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %s", probe.HTTPGet.Path, code, body)
	}
	return err
}
