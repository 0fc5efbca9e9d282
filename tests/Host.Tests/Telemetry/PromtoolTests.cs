using System.Diagnostics;
using ZeroFlow.Host.Telemetry;
using ZeroFlow.Pipeline.Telemetry;

namespace ZeroFlow.Host.Tests.Telemetry;

public sealed class PromtoolTests
{
    // The whole of what a server shows, judged by the tool of the format's owners, lint rules included.
    [Fact]
    public async Task The_metrics_of_a_server_pass_promtool()
    {
        using var process = new ProcessMetrics();
        using var pipeline = new PipelineMetrics();
        using var collector = new MetricCollector(meter => meter == process.Meter || meter == pipeline.Meter);
        foreach (string name in (string[])["journal", "upload"])
        {
            StageMeter stage = pipeline.AddStage(name, 8, () => 2);
            stage.Begin(4096);
            stage.End(4096, TimeSpan.FromMicroseconds(30));
        }

        byte[] text = collector.Scrape();

        Assert.Contains("zeroflow_stage_duration_seconds", PrometheusText.Parse(text).Types.Keys);
        await CheckAsync(text);
    }

    private static async Task CheckAsync(byte[] text)
    {
        string? promtool = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
            .Select(directory => Path.Combine(directory, "promtool")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(promtool is null, "promtool is not installed (Debian package prometheus)");
        using Process tool = Process.Start(new ProcessStartInfo(promtool!, "check metrics")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        await tool.StandardInput.BaseStream.WriteAsync(text, TestContext.Current.CancellationToken);
        tool.StandardInput.Close();
        string findings = await tool.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken)
            + await tool.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await tool.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(tool.ExitCode == 0 && findings.Length == 0, findings);
    }
}
