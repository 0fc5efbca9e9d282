using ZeroFlow.Perf.Workloads;

namespace ZeroFlow.Perf.Reports;

/// <summary>What reports call the kinds of operations.</summary>
internal static class OperationWords
{
    public static string Of(OperationKind kind) => kind switch
    {
        OperationKind.Read => "read",
        OperationKind.Write => "write",
        OperationKind.Flush => "FLUSH",
        OperationKind.Trim => "trim",
        OperationKind.Zeroes => "zeroes",
        _ => "write+FLUSH",
    };
}
