global using Xunit;

using ZeroFlow.SystemTests.Running;

// Real processes compete for the machine's cores: side by side, their timeouts would measure each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: AssemblyFixture(typeof(ZeroFlowBinary))]
[assembly: AssemblyFixture(typeof(RadosGateway))]
