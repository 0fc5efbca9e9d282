global using Xunit;
global using ZeroFlow.Perf.Nbd;
global using ZeroFlow.Perf.Traces;
