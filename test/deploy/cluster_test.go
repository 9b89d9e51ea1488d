package deploy

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// portsHere are the ports that stand for those of the container, for every
// replica: one reaches another at the other's address and its own port. They
// are the same ones, unless something on this machine listens at one on all
// addresses.
var portsHere struct {
	sync.Mutex
	of map[int32]string
}

// findAddress finds an address of this machine at which nothing else is. Linux
// has 127.0.0.0/8; elsewhere there is one, and each Pod has ports of its own.
func (p *pod) findAddress(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		p.ip, p.ports = "127.0.0.1", map[int32]string{}
		for _, port := range p.container.Ports {
			p.ports[port.ContainerPort] = freePort(t, p.ip, 0)
		}
		return
	}
	portsHere.Lock()
	defer portsHere.Unlock()
	p.ip = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	if portsHere.of == nil {
		portsHere.of = map[int32]string{}
		for _, port := range p.container.Ports {
			portsHere.of[port.ContainerPort] = freePort(t, p.ip, port.ContainerPort)
		}
	}
	p.ports = portsHere.of
}

// freePort is the wanted port of an address, or another one where it is taken.
func freePort(t *testing.T, ip string, wanted int32) string {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(int(wanted))))
	if err != nil && wanted != 0 {
		return freePort(t, ip, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// service is how others in the cluster reach Pods: a host is
// <service>.<namespace>.svc, and each connection to one of its ports ends at one
// of the endpoints, in turn.
type service struct {
	endpoints func() []*pod
	turn      atomic.Uint64
}

// cluster is the Service with this Pod alone behind it.
func (p *pod) cluster() *http.Client {
	return (&service{endpoints: func() []*pod { return []*pod{p} }}).client()
}

func (s *service) client() *http.Client {
	dialer := &net.Dialer{}
	return &http.Client{Transport: &http.Transport{
		// Each request may go to another endpoint.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			endpoints := s.endpoints()
			if len(endpoints) == 0 {
				return nil, fmt.Errorf("%s: no endpoint", address)
			}
			target, err := endpoints[s.turn.Add(1)%uint64(len(endpoints))].behindService(address)
			if err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, network, target)
		},
	}}
}

func (p *pod) behindService(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	found := &corev1.Service{}
	serviceName, ok := strings.CutSuffix(host, "."+p.namespace+".svc")
	if !ok {
		return "", fmt.Errorf("%s is no Service in %s", host, p.namespace)
	}
	if err := p.manifests.find("Service", serviceName, found); err != nil {
		return "", err
	}
	if selector := labels.SelectorFromSet(found.Spec.Selector); selector.Empty() || !selector.Matches(labels.Set(p.labels)) {
		return "", fmt.Errorf("the Service selects %s, and the Pod has the labels %v", selector, p.labels)
	}
	for _, sp := range found.Spec.Ports {
		if strconv.Itoa(int(sp.Port)) == port {
			return p.port(sp.TargetPort)
		}
	}
	return "", fmt.Errorf("the Service has no port %s", port)
}

// get asks once.
func get(c *http.Client, url string) (int, []byte, error) {
	response, err := c.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}
