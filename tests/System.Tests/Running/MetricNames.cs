namespace ZeroFlow.SystemTests.Running;

/// <summary>The metrics that tests watch, as /metrics names them.</summary>
internal static class MetricNames
{
    public const string DirtyBytes = "zeroflow_store_dirty_bytes";
    public const string StageMessages = "zeroflow_stage_messages_in_total";
}
