// Driver of the compatibility suite for nacos-sdk-go v1: HTTP with form bodies, beats whose JSON is not URL-encoded, UDP push.
package main

import (
	"fmt"
	"os"

	"github.com/nacos-group/nacos-sdk-go/clients"
	"github.com/nacos-group/nacos-sdk-go/clients/config_client"
	"github.com/nacos-group/nacos-sdk-go/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/common/constant"
	"github.com/nacos-group/nacos-sdk-go/model"
	"github.com/nacos-group/nacos-sdk-go/vo"

	"nacre.compat/driver/protocol"
)

type driver struct {
	naming        naming_client.INamingClient
	config        config_client.IConfigClient
	subscriptions map[string]*vo.SubscribeParam
}

func main() {
	protocol.Run(connect)
}

func connect(to protocol.Target) (map[string]protocol.Operation, error) {
	param := vo.NacosClientParam{
		ClientConfig: constant.NewClientConfig(
			constant.WithNamespaceId(to.Namespace),
			constant.WithUsername(to.Username),
			constant.WithPassword(to.Password),
			constant.WithTimeoutMs(5000),
			constant.WithNotLoadCacheAtStart(true),
			constant.WithUpdateCacheWhenEmpty(true),
			constant.WithCacheDir("cache"),
			constant.WithLogDir("log"),
		),
		ServerConfigs: []constant.ServerConfig{
			*constant.NewServerConfig(to.Host, to.Port, constant.WithContextPath("/nacos")),
		},
	}
	naming, err := clients.NewNamingClient(param)
	if err != nil {
		return nil, err
	}
	config, err := clients.NewConfigClient(param)
	if err != nil {
		return nil, err
	}
	d := &driver{naming: naming, config: config, subscriptions: map[string]*vo.SubscribeParam{}}
	return d.operations(), nil
}

func (d *driver) operations() map[string]protocol.Operation {
	return map[string]protocol.Operation{
		"register": func(c protocol.Command) (any, error) {
			i := c.Instance
			return d.naming.RegisterInstance(vo.RegisterInstanceParam{
				Ip: i.Ip, Port: i.Port, Weight: i.Weight, Enable: i.Enabled, Healthy: true, Metadata: i.Metadata,
				ClusterName: i.Cluster, ServiceName: c.Service, GroupName: c.Group, Ephemeral: i.Ephemeral,
			})
		},
		"maintain_instance": func(c protocol.Command) (any, error) {
			i := c.Instance
			return d.naming.UpdateInstance(vo.UpdateInstanceParam{
				Ip: i.Ip, Port: i.Port, Weight: i.Weight, Enable: i.Enabled, Metadata: i.Metadata,
				ClusterName: i.Cluster, ServiceName: c.Service, GroupName: c.Group, Ephemeral: i.Ephemeral,
			})
		},
		"deregister": func(c protocol.Command) (any, error) {
			return d.naming.DeregisterInstance(vo.DeregisterInstanceParam{
				Ip: c.Instance.Ip, Port: c.Instance.Port, Cluster: c.Instance.Cluster,
				ServiceName: c.Service, GroupName: c.Group, Ephemeral: c.Instance.Ephemeral,
			})
		},
		"list": func(c protocol.Command) (any, error) {
			found, err := d.naming.SelectAllInstances(vo.SelectAllInstancesParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group,
			})
			return hosts(found), err
		},
		"select_healthy": func(c protocol.Command) (any, error) {
			found, err := d.naming.SelectInstances(vo.SelectInstancesParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group, HealthyOnly: true,
			})
			return hosts(found), err
		},
		"select_one": func(c protocol.Command) (any, error) {
			found, err := d.naming.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group,
			})
			if err != nil {
				return nil, err
			}
			return hosts([]model.Instance{*found})[0], nil
		},
		"services": func(c protocol.Command) (any, error) {
			found, err := d.naming.GetAllServicesInfo(vo.GetAllServiceInfoParam{
				GroupName: c.Group, PageNo: c.Page, PageSize: c.Size,
			})
			return map[string]any{"count": found.Count, "names": found.Doms}, err
		},
		"subscribe": func(c protocol.Command) (any, error) {
			param := &vo.SubscribeParam{
				ServiceName: c.Service, Clusters: c.Clusters, GroupName: c.Group,
				SubscribeCallback: func(services []model.SubscribeService, err error) {
					// An empty list comes as an error.
					if err != nil && len(services) != 0 {
						fmt.Fprintln(os.Stderr, "subscription:", err)
						return
					}
					protocol.Hosts(c.Tag, pushed(services))
				},
			}
			d.subscriptions[c.Tag] = param
			return nil, d.naming.Subscribe(param)
		},
		"unsubscribe": func(c protocol.Command) (any, error) {
			param := d.subscriptions[c.Tag]
			delete(d.subscriptions, c.Tag)
			return nil, d.naming.Unsubscribe(param)
		},
		"publish": func(c protocol.Command) (any, error) {
			return d.config.PublishConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group, Content: c.Content, Type: vo.ConfigType(c.Type)})
		},
		"get": func(c protocol.Command) (any, error) {
			return protocol.Content(d.config.GetConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group}))
		},
		"remove": func(c protocol.Command) (any, error) {
			return d.config.DeleteConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group})
		},
		"listen": func(c protocol.Command) (any, error) {
			return nil, d.config.ListenConfig(vo.ConfigParam{
				DataId: c.DataId, Group: c.Group,
				OnChange: func(_, _, _, content string) { protocol.Config(c.Tag, content) },
			})
		},
		"unlisten": func(c protocol.Command) (any, error) {
			return nil, d.config.CancelListenConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group})
		},
		// The SDK has no shutdown: what it registered is deregistered by the application.
		"shutdown": func(protocol.Command) (any, error) { return nil, nil },
	}
}

func hosts(found []model.Instance) []protocol.Instance {
	all := make([]protocol.Instance, 0, len(found))
	for _, i := range found {
		all = append(all, protocol.Instance{
			Ip: i.Ip, Port: i.Port, Weight: i.Weight, Healthy: i.Healthy, Enabled: i.Enable,
			Ephemeral: i.Ephemeral, Cluster: i.ClusterName, Metadata: i.Metadata,
		})
	}
	return all
}

// A pushed instance: the SDK leaves out of its events whether it is ephemeral.
type host struct {
	Ip       string            `json:"ip"`
	Port     uint64            `json:"port"`
	Weight   float64           `json:"weight"`
	Healthy  bool              `json:"healthy"`
	Enabled  bool              `json:"enabled"`
	Cluster  string            `json:"cluster"`
	Metadata map[string]string `json:"metadata"`
}

func pushed(found []model.SubscribeService) []host {
	all := make([]host, 0, len(found))
	for _, i := range found {
		all = append(all, host{
			Ip: i.Ip, Port: i.Port, Weight: i.Weight, Healthy: i.Healthy, Enabled: i.Enable,
			Cluster: i.ClusterName, Metadata: i.Metadata,
		})
	}
	return all
}
