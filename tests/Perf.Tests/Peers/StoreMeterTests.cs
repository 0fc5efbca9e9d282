using ZeroFlow.Perf.Peers;

namespace ZeroFlow.Perf.Tests.Peers;

public sealed class StoreMeterTests
{
    [Fact]
    public void Requests_and_bytes_are_summed_by_type()
    {
        const string page =
            """
            # HELP zeroflow_store_requests_total Requests to the object store, by type and result.
            # TYPE zeroflow_store_requests_total counter
            zeroflow_store_requests_total{type="create",result="ok"} 5
            zeroflow_store_requests_total{type="create",result="exists"} 1
            zeroflow_store_requests_total{type="get",result="ok"} 3
            zeroflow_store_requests_total{type="list",result="ok"} 2
            zeroflow_store_bytes_total{type="create"} 1048576
            zeroflow_store_bytes_total{type="get"} 4096
            """;
        Assert.Equal(new StoreUse(11, 6, 3, 1048576, 4096), StoreMeter.Parse(page));
        Assert.Throws<NbdException>(() => StoreMeter.Parse("zeroflow_store_requests_total 1"));
    }
}
