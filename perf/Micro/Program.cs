using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters.Json;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;

// --smoke runs everything once, to see that it runs; all else is BenchmarkDotNet's, such as --filter '*Wal*'.
const string smoke = "--smoke";
var job = args.Contains(smoke)
    ? Job.Dry
    : Job.Default.WithWarmupCount(4).WithIterationCount(12).WithIterationTime(TimeInterval.FromMilliseconds(250));

// In this process: a project that BenchmarkDotNet generates and builds would not see the internals of the product.
var config = ManualConfig.Create(DefaultConfig.Instance)
    .AddJob(job.WithToolchain(InProcessEmitToolchain.Instance))
    .AddDiagnoser(MemoryDiagnoser.Default)
    .AddExporter(JsonExporter.Brief)
    .HideColumns(Column.Error, Column.Toolchain, Column.Job);
var summaries = BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly)
    .Run([.. args.Where(argument => argument != smoke)], config)
    .ToArray();
return summaries.Length == 0 || summaries.Any(summary => summary.Reports.Any(report => !report.Success)) ? 1 : 0;
