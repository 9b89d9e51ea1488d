package deploy

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// No network plugin is here to enforce the policy, so that these tests read it
// as one does.
// https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#networkpolicy-v1-networking-k8s-io

func policy(t *testing.T) networkingv1.NetworkPolicy {
	t.Helper()
	return as[networkingv1.NetworkPolicy](t, named(t, installed, "NetworkPolicy", name))
}

// peer is who is at the other end of a connection.
type peer struct {
	ip        string
	node      bool
	namespace map[string]string // the labels of its namespace; nil where it is no Pod
	pod       map[string]string
}

// plugin is in what network plugins differ: whether an ipBlock matches Pods and
// nodes too (most), or only what is outside of the cluster (Cilium).
type plugin struct{ blocksMatchPods bool }

// matches tells whether a peer is one of those that a rule names; none is all.
func (g plugin) matches(t *testing.T, peers []networkingv1.NetworkPolicyPeer, p peer) bool {
	t.Helper()
	for _, of := range peers {
		switch {
		case of.IPBlock != nil:
			if g.blocksMatchPods || p.namespace == nil && !p.node {
				if inBlock(of.IPBlock, p.ip) {
					return true
				}
			}
		case p.namespace == nil:
		case of.NamespaceSelector == nil:
			// Those of the policy's own namespace.
			if p.namespace[corev1.LabelMetadataName] == namespace && selects(t, of.PodSelector, p.pod) {
				return true
			}
		case selects(t, of.NamespaceSelector, p.namespace) && (of.PodSelector == nil || selects(t, of.PodSelector, p.pod)):
			return true
		}
	}
	return len(peers) == 0
}

func selects(t *testing.T, s *metav1.LabelSelector, set map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(set))
}

func inBlock(block *networkingv1.IPBlock, ip string) bool {
	address := netip.MustParseAddr(ip)
	for _, except := range block.Except {
		if netip.MustParsePrefix(except).Contains(address) {
			return false
		}
	}
	return netip.MustParsePrefix(block.CIDR).Contains(address)
}

// onPort tells whether a rule is about a port; none is all. A name is that of a
// port of whoever is connected to, which is our Pod, or another replica.
func onPort(t *testing.T, ports []networkingv1.NetworkPolicyPort, protocol corev1.Protocol, port int32) bool {
	t.Helper()
	for _, of := range ports {
		number := of.Port.IntVal
		if of.Port.Type == intstr.String {
			number = containerPort(t, of.Port.StrVal)
		}
		if *of.Protocol == protocol && number == port && of.EndPort == nil {
			return true
		}
	}
	return len(ports) == 0
}

func containerPort(t *testing.T, called string) int32 {
	t.Helper()
	for _, port := range deployment(t).Spec.Template.Spec.Containers[0].Ports {
		if port.Name == called {
			return port.ContainerPort
		}
	}
	t.Fatalf("the container has no port %s", called)
	return 0
}

func (g plugin) letsIn(t *testing.T, from peer, port int32) bool {
	t.Helper()
	for _, rule := range policy(t).Spec.Ingress {
		if onPort(t, rule.Ports, corev1.ProtocolTCP, port) && g.matches(t, rule.From, from) {
			return true
		}
	}
	return false
}

func (g plugin) letsOut(t *testing.T, to peer, protocol corev1.Protocol, port int32) bool {
	t.Helper()
	for _, rule := range policy(t).Spec.Egress {
		if onPort(t, rule.Ports, protocol, port) && g.matches(t, rule.To, to) {
			return true
		}
	}
	return false
}

// pods are those in a namespace, with labels, given as "key=value".
func pods(namespace string, more ...string) peer {
	p := peer{ip: "10.244.3.7", namespace: map[string]string{corev1.LabelMetadataName: namespace}, pod: map[string]string{}}
	for _, label := range more {
		key, value, _ := strings.Cut(label, "=")
		if key, ofPod := strings.CutPrefix(key, "pod:"); ofPod {
			p.pod[key] = value
			continue
		}
		p.namespace[key] = value
	}
	return p
}

func outside(ip string) peer { return peer{ip: ip} }
func node(ip string) peer    { return peer{ip: ip, node: true} }

var replica = pods(namespace, "pod:app.kubernetes.io/name=assay", "pod:app.kubernetes.io/component=controller")

// eachPlugin runs a test as plugins of both kinds do.
func eachPlugin(t *testing.T, test func(*testing.T, plugin)) {
	t.Helper()
	t.Run("addresses of Pods count", func(t *testing.T) { test(t, plugin{blocksMatchPods: true}) })
	t.Run("addresses of Pods do not count", func(t *testing.T) { test(t, plugin{}) })
}

func TestNetworkPolicyLetsIn(t *testing.T) {
	const artifacts, metrics, health = 9090, 8080, 8081
	// Both directions are closed but for what is listed.
	if types := policy(t).Spec.PolicyTypes; len(types) != 2 || types[0] == types[1] {
		t.Errorf("expected Ingress and Egress, found %v", types)
	}
	eachPlugin(t, func(t *testing.T, plugin plugin) {
		for what, tc := range map[string]struct {
			from peer
			port int32
			want bool
		}{
			"Flux to artifacts":                        {pods("flux-system"), artifacts, true},
			"Flux to metrics":                          {pods("flux-system"), metrics, false},
			"who was chosen to artifacts":              {pods("apps", "assay.dev/artifacts=allowed"), artifacts, true},
			"who was chosen for artifacts, to metrics": {pods("apps", "assay.dev/artifacts=allowed"), metrics, false},
			"another value of the label":               {pods("apps", "assay.dev/artifacts=denied"), artifacts, false},
			"the label on the Pod alone":               {pods("apps", "pod:assay.dev/artifacts=allowed"), artifacts, false},
			"another replica to artifacts":             {replica, artifacts, true},
			"another replica to metrics":               {replica, metrics, false},
			"a replica's labels in another namespace":  {pods("apps", "pod:app.kubernetes.io/name=assay", "pod:app.kubernetes.io/component=controller"), artifacts, false},
			"another Pod of the namespace":             {pods(namespace, "pod:app.kubernetes.io/name=other"), artifacts, false},
			"Prometheus to metrics":                    {pods("monitoring"), metrics, true},
			"Prometheus to artifacts":                  {pods("monitoring"), artifacts, false},
			"Prometheus elsewhere, chosen":             {pods("observability", "assay.dev/metrics=allowed"), metrics, true},
			"a stranger to artifacts":                  {pods("apps"), artifacts, false},
			"a stranger to metrics":                    {pods("apps"), metrics, false},
			"a stranger to the probes":                 {pods("apps"), health, false},
			"Flux to the probes":                       {pods("flux-system"), health, false},
			"from outside":                             {outside("203.0.113.7"), artifacts, false},
		} {
			if found := plugin.letsIn(t, tc.from, tc.port); found != tc.want {
				t.Errorf("%s: expected %t, found %t", what, tc.want, found)
			}
		}
	})
}

func TestNetworkPolicyLetsOut(t *testing.T) {
	const tcp, udp = corev1.ProtocolTCP, corev1.ProtocolUDP
	eachPlugin(t, func(t *testing.T, plugin plugin) {
		for what, tc := range map[string]struct {
			to       peer
			protocol corev1.Protocol
			port     int32
			want     bool
		}{
			"DNS":                                   {pods("kube-system", "pod:k8s-app=kube-dns"), udp, 53, true},
			"DNS over TCP":                          {pods("kube-system", "pod:k8s-app=kube-dns"), tcp, 53, true},
			"the node's cache of names":             {outside("169.254.20.10"), udp, 53, true},
			"names, at a metadata service":          {outside("169.254.169.254"), udp, 53, false},
			"names, outside":                        {outside("203.0.113.53"), udp, 53, false},
			"API server of a cloud":                 {outside("34.118.224.1"), tcp, 443, true},
			"API server of a cloud, inside its VPC": {outside("172.16.0.2"), tcp, 443, true},
			"API server of kubeadm, on a node":      {node("192.168.1.10"), tcp, 6443, true},
			"API server of minikube, on a node":     {node("192.168.49.2"), tcp, 8443, true},
			"API server of MicroK8s, on a node":     {node("192.168.1.10"), tcp, 16443, true},
			"registry":                              {outside("140.82.121.33"), tcp, 443, true},
			"registry over IPv6":                    {outside("2606:50c0:8000::154"), tcp, 443, true},
			"registry in the company":               {outside("10.20.30.40"), tcp, 443, true},
			"registry over IPv6 in the company":     {outside("fd12:3456::7"), tcp, 443, true},
			"registry in the company, its own port": {outside("10.20.30.40"), tcp, 5000, true},
			"registry in the cluster":               {pods("registry"), tcp, 5000, true},
			"registry in the cluster, TLS":          {pods("registry"), tcp, 443, true},
			"registry, by UDP":                      {outside("140.82.121.33"), udp, 443, false},
			"plain HTTP":                            {outside("203.0.113.7"), tcp, 80, false},
			"a database in the cluster":             {pods("apps"), tcp, 5432, false},
			"a database outside":                    {outside("10.20.30.40"), tcp, 5432, false},
			"SSH":                                   {node("192.168.1.10"), tcp, 22, false},
			"kubelet":                               {node("192.168.1.10"), tcp, 10250, false},
			"etcd":                                  {node("192.168.1.10"), tcp, 2379, false},
			"mail":                                  {outside("203.0.113.7"), tcp, 25, false},
			"another replica's artifacts":           {replica, tcp, 9090, true},
			"another replica's metrics":             {replica, tcp, 8080, false},
			"Flux's notification-controller":        {pods("flux-system", "pod:app=notification-controller"), tcp, 9090, true},
			"Flux's source-controller":              {pods("flux-system", "pod:app=source-controller"), tcp, 9090, false},
			"one of that name elsewhere":            {pods("apps", "pod:app=notification-controller"), tcp, 9090, false},
			"9090 elsewhere":                        {pods("apps"), tcp, 9090, false},
		} {
			if found := plugin.letsOut(t, tc.to, tc.protocol, tc.port); found != tc.want {
				t.Errorf("%s: expected %t, found %t", what, tc.want, found)
			}
		}
	})
}

// No metadata service is reached at a port at which one is.
func TestNetworkPolicyKeepsOutOfMetadata(t *testing.T) {
	for cloud, ip := range map[string]string{
		"most": "169.254.169.254", "AWS, credentials of tasks": "169.254.170.2", "AWS, of Pods": "169.254.170.23",
		"AWS": "fd00:ec2::254", "AWS, of Pods, over IPv6": "fd00:ec2::23", "Alibaba": "100.100.100.200", "Azure": "168.63.129.16",
		"Oracle": "192.0.0.192", "Oracle over IPv6": "fd00:c1::a9fe:a9fe", "Google": "fd20:ce::254", "Scaleway": "fd00:42::42",
		"link-local": "fe80::a9fe:a9fe", "this machine": "127.0.0.1", "this machine over IPv6": "::1",
	} {
		eachPlugin(t, func(t *testing.T, plugin plugin) {
			for _, port := range []int32{80, 443, 5000, 32526, 53} {
				if plugin.letsOut(t, outside(ip), corev1.ProtocolTCP, port) {
					t.Errorf("%s: expected no way to %s, port %d", cloud, ip, port)
				}
			}
		})
	}
}

// forbiddenInCode are the addresses that the controller does not connect to.
var forbiddenInCode = regexp.MustCompile(`(?s)forbiddenPrefixes = prefixes\((.*?)\n\t\)`)

// The policy and the code keep out of the same addresses.
func TestNetworkPolicyExceptsWhatTheCodeForbids(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "internal", "registry", "dial.go"))
	if err != nil {
		t.Fatal(err)
	}
	list := forbiddenInCode.FindSubmatch(source)
	if list == nil {
		t.Fatal("expected the addresses in internal/registry/dial.go")
	}
	var want, found []string
	for _, m := range regexp.MustCompile(`"([0-9a-f.:]+/\d+)"`).FindAllSubmatch(list[1], -1) {
		want = append(want, string(m[1]))
	}
	for _, rule := range policy(t).Spec.Egress {
		for _, to := range rule.To {
			if to.IPBlock != nil {
				found = append(found, to.IPBlock.Except...)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(found)
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("addresses (-code +policy):\n%s", diff)
	}
}
